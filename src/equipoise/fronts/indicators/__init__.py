"""Numbers that say how good a set of points is."""
