"""What every program of ours is to the machine: its installation, its lock, systemd, its output."""
