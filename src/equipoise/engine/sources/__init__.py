"""One file a way to get gradients."""
