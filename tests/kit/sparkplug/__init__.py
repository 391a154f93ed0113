"""Ends of Sparkplug B that share no code with ours."""
