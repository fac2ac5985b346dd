"""The correlations of the tasks' predictable parts: a square table, or of very many tasks the strongest pairs."""

import itertools
from typing import Any

from ...core.records.audit import AuditRecord
from ...core.text import signed
from .names import short_names

__all__ = ["MOST_SQUARE", "correlation_table"]

MOST_SQUARE = 16
"""Most tasks whose correlations make a square table."""
_MOST_PAIRS = 10
"""Pairs of each sign that are listed instead."""


def correlation_table(record: AuditRecord) -> dict[str, Any]:
    """What the table of correlations shows.

    Up to `MOST_SQUARE` tasks ``names`` and ``rows`` (name, cells of value and shade); above, ``pairs`` (two names,
    value, shade), the most negative first, and ``of``, how many pairs there are.
    """
    names = short_names([task.name for task in record.tasks])
    related = [task.correlations for task in record.tasks]
    if len(names) <= MOST_SQUARE:
        rows = [
            {
                "name": names[i],
                "cells": [{"value": signed(x), "shade": _shade(x, i == j)} for j, x in enumerate(related[i])],
            }
            for i in range(len(names))
        ]
        return {"names": names, "rows": rows, "pairs": [], "of": 0}
    every = sorted((related[i][j], i, j) for i, j in itertools.combinations(range(len(names)), 2))
    ends = [*every[:_MOST_PAIRS], *every[-_MOST_PAIRS:]]
    pairs = [{"one": names[i], "other": names[j], "value": signed(x), "shade": _shade(x, False)} for x, i, j in ends]
    return {"names": names, "rows": [], "pairs": pairs, "of": f"{len(every):,}"}


def _shade(correlation: float, own: bool) -> str:
    if own or abs(correlation) < 0.1:
        return ""
    side = "positive" if correlation > 0 else "negative"
    return f"{side} strong" if abs(correlation) >= 0.5 else side
