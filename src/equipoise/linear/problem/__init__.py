"""A linear multi-task problem, from a table, from moments or from a stream of rows."""
