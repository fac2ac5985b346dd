"""One step: gradients, the method, and what each parameter receives."""
