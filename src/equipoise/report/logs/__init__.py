"""Reports on files that others wrote: rewards of a training, runs of a search. One page, one way to print both."""
