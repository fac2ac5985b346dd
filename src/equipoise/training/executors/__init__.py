"""Many trainings as a list: each known by the hash of its configuration, run anywhere, taken up where they stopped."""
