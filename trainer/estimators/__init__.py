"""What can be fitted: the models, the detectors, and the candidate of one."""
