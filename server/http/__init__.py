"""HTTP itself: connections and their limits, requests, routes, answers and refusals."""
