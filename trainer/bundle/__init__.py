"""From a fitted model to a bundle: the graph, its proof, its golden vectors and its report."""
