"""Optima of a linear model: weighted sums, Tchebycheff points, best weights, smallest mixtures."""
