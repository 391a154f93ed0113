"""Which recorded rows and values count: the filter of the rows, and the qualities of the values."""
