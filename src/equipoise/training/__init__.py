"""Training: what is recorded of it."""
