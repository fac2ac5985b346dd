"""What a step costs: plans, predicted work, memory."""
