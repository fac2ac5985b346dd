"""Cost of a step: plans, predicted work, memory."""
