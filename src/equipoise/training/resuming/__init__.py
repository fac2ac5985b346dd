"""What is kept of a run so that it goes on to the bit: folder, checkpoints, generators, signals."""
