"""The cloud side: recorded plant data in, a proven and signed bundle out."""
