"""Faults under load, a fuzz of the packet codec and a soak, which test what the agent promises."""
