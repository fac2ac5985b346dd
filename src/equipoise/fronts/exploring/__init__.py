"""A whole front in one call: sweeps through resumable runs, what weights select, and the point that was chosen."""
