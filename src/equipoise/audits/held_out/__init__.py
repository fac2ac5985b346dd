"""The remedies of an audit on rows that they were not fitted to."""
