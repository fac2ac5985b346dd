"""Figures as plain plotly dicts."""
