"""Backward passes: the fewest that give exact per-task gradients."""
