"""The commands of `millhand-trainer`: each file is one, with its arguments and its run."""
