"""The page on which a plant is watched: what the broker says, kept for a day, sent to browsers."""
