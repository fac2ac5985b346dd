"""Tabular networks, and how they are trained."""
