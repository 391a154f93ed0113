"""The bundle's report: one page that opens from disk, without a script and without a network."""
