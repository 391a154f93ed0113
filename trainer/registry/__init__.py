"""The signed folder that gateways pull from."""
