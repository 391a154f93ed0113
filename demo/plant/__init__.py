"""The simulated plant: its physics, its faults and its recorded history."""
