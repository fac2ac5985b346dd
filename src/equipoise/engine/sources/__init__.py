"""Ways to compute gradients, one per file."""
