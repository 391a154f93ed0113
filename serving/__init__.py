"""How a signed bundle becomes a model that answers, for every program of millhand."""
