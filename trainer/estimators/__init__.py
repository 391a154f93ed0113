"""What can be fitted: families of models, anomaly detectors, and the fit of a candidate."""
