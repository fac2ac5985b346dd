"""Sets of points on a front, trained together."""
