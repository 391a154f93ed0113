"""Models over HTTP: the signed models of a registry, answered by the Open Inference Protocol."""
