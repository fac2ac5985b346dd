"""One step: gradients, the method, and the gradient that each parameter receives."""
