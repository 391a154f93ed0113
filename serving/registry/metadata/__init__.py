"""What TUF's client leaves to its user: the shape of delegations, and errors as ours."""
