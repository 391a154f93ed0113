"""The commands of `millhand-trainer`: each file is one command, with its options and `run`."""
