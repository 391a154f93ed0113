"""What can be fitted: the models, the detectors, and the choice of one."""
