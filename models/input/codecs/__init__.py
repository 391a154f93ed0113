"""Payload formats, which the key `dialect` chooses: each turns bytes into readings or blocks."""
