"""Comparing entrants over paired seeds: intervals, corrections, what could have been detected."""
