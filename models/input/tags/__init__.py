"""Payloads that are lists of tags: name, value, time and quality of each, as gateways send them."""
