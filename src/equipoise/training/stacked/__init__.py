"""Several small models of one problem trained in one vectorized step, and why a model cannot be."""
