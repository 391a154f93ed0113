"""The TUF client: which bundles are signed, and how their bytes are fetched and verified."""
