"""The page's connection to the broker, which only reads."""
