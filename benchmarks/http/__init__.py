"""Models over HTTP: the server, a static answer of nginx, MLServer and MLflow, in turns."""
