"""Clients and servers that speak HTTP as no library would, and the check of every answer."""
