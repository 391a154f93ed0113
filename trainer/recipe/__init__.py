"""The recipe: all there is to decide about a model, in one TOML file."""
