"""Drafts of recipes: what recorded files say about themselves, written for a person to correct."""
