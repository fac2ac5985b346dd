"""The fit loop: one recipe, and what it is made of: order of the data, selection, run folder, trackers."""
