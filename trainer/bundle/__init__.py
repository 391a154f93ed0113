"""From a fitted model to a bundle: its proof, its golden vectors and its report."""
