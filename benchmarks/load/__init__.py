"""The load: what is sent, by a generator in C, and the forwarder in C that is the limit."""
