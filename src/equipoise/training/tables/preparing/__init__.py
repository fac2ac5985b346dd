"""A table -> columns with roles, splits, and numbers fitted on training rows."""
