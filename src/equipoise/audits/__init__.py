"""Audits of tables, of networks and of published experiments."""
