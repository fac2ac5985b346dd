"""Folders of runs: what is recorded, how it is written so that nothing is lost, and what a record says of its run."""
