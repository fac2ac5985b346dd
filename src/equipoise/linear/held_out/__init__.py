"""Losses on rows that a model was not fitted to, from the second moments of blocks of rows."""
