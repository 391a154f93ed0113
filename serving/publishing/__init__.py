"""The registry: a signed folder of bundles, which gateways download from."""
