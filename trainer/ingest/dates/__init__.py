"""Event times of rows: the forms that dates are written in, and how one is chosen or proved."""
