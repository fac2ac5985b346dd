"""The report of a recorded training."""
