"""The agent's settings and the TOML file that they come from."""
