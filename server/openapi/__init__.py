"""The description of all paths by OpenAPI 3.1, made from the table of paths and the manifests."""
