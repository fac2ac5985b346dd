"""Files that others wrote: rewards of a training, and runs of a search."""
