"""The control plane: topics and documents by which a gateway is told what to run and answers."""
