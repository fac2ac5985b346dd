"""One model for all preferences."""
