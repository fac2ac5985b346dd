"""A pool of trained models: the mixture that serves a preference, and what weights can pick."""
