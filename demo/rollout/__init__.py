"""`python -m demo --rollout`: a good and a bad model on three gateways, and the page of both."""
