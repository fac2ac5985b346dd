"""One shared width: its optima, remedies, verdict and words."""
