"""A second model of a stream, which answers the same windows and is heard by nobody."""
