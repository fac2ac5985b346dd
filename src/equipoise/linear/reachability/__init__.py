"""Which trade-offs weights reach, which are Pareto-optimal, and which are exposed."""
