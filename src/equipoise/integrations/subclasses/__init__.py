"""Subclasses of the frameworks' own classes. Each file imports its framework, and is imported on first use."""
