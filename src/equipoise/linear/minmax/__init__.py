"""Solvers for the worst of k scaled residuals: exact, bracketed, and over mixtures of models."""
