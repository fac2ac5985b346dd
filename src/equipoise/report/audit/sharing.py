"""Which task helps which on new rows: a matrix, and what it advises for each task, in the words of a page."""

import itertools
from collections.abc import Sequence
from typing import Any

from ...core.records.audit import AuditRecord
from ...core.records.sharing import Sharing
from ...core.text import clean, joined, plural, share, signed
from ..pictures.names import short_names

__all__ = ["sharing_part"]

MOST_SQUARE = 12
"""Tasks up to which every pair is shown."""
_MOST_PAIRS = 20
_NAMED = 8
_FEW = 4
_MARKS = {"helps": "▼", "harms": "▲", "cannot tell": "", "the same": "="}
_SHADES = {"helps": "positive strong", "harms": "negative strong"}


def sharing_part(record: AuditRecord) -> dict[str, Any] | None:
    """What the section on sharing shows; None where nothing was measured.

    ``said`` are sentences, the first the answer; ``names`` and ``rows`` the matrix (tasks by partners, the last column
    all tasks), or ``pairs`` the largest changes where there are more than `MOST_SQUARE` tasks.
    """
    found = record.new_rows
    if found is None or found.sharing is None:
        return None
    sharing, names = found.sharing, short_names([task.name for task in record.tasks])
    every = range(len(names))
    pairs = [pair for pair in itertools.product(every, every) if pair[0] != pair[1]]
    square = len(names) <= MOST_SQUARE
    rows = [
        {
            "name": names[i],
            "alone": share(found.separate[i]),
            "cells": [_cell(sharing, i, j) if i != j else None for j in every] + [_cell(sharing, i, None)],
        }
        for i in every
    ]
    largest = sorted(pairs, key=lambda pair: -abs(sharing.pairs[pair[0]][pair[1]]))[:_MOST_PAIRS]
    threshold = record.verdicts[0].effect.threshold
    return {
        "said": [clean(words) for words in _said(sharing, names, pairs, threshold)],
        "names": names if square else [],
        "rows": rows if square else [],
        "pairs": [] if square else [_cell(sharing, i, j) | {"one": names[i], "other": names[j]} for i, j in largest],
        "of": f"{len(pairs):,}",
        "caption": _caption(sharing, len(names)),
        "theory": _theory(sharing, pairs),
    }


def _cell(sharing: Sharing, task: int, partner: int | None) -> dict[str, str]:
    if partner is None:
        change, error = sharing.together[task], sharing.together_errors[task]
    else:
        change, error = sharing.pairs[task][partner], sharing.pair_errors[task][partner]
    told = sharing.told(task, partner)
    return {
        "change": signed(change, 3),
        "margin": f"± {share(sharing.quantile * error)}",
        "told": told,
        "mark": _MARKS[told],
        "shade": _SHADES.get(told, "untold"),
    }


def _said(sharing: Sharing, names: Sequence[str], pairs: Sequence[tuple[int, int]], threshold: float) -> list[str]:
    advised: dict[str, list[int]] = {}
    for task in range(len(names)):
        advised.setdefault(sharing.advice(task), []).append(task)
    said = []
    if tasks := advised.get("share"):
        parts = [_shared(sharing, names, task) for task in tasks[:_NAMED]]
        said.append(f"Share: {joined([*parts, *_more(tasks)])}.")
    if tasks := advised.get("alone"):
        most = max(max(sharing.together[i], *sharing.pairs[i]) for i in tasks)
        small = f"; what it costs is below {share(threshold, 2)}, too little to matter" if most < threshold else ""
        said.append(
            f"Train alone: {_listed(tasks, names)}. No sharing is told to help "
            f"{'it' if len(tasks) == 1 else 'them'}, and sharing with all tasks, or with each single one, is told to "
            f"harm{small}."
        )
    if tasks := advised.get("cannot tell"):
        most = max(abs(sharing.together[i]) + sharing.quantile * sharing.together_errors[i] for i in tasks)
        near = f", and changes a loss by at most {share(most)} either way (95 %), too little to matter"
        said.append(
            f"Cannot tell: {_listed(tasks, names)}. No sharing is told to help; sharing with all tasks is not told to "
            f"harm{near if most < threshold else ''}."
        )
    if tasks := advised.get("the same"):
        said.append(f"The same either way: {_listed(tasks, names)}.")
    said.append(_counted(sharing, names, pairs))
    return said


def _counted(sharing: Sharing, names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> str:
    """How many pairs are told what, and which these are where they are few."""
    told = []
    for what in ("helps", "harms"):
        found = [pair for pair in pairs if sharing.told(*pair) == what]
        named = "; ".join(f"{names[i]} by sharing with {names[j]}" for i, j in found)
        if found:
            verb = what if len(found) == 1 else what[:-1]
            told.append(f"{len(found)} {verb}{f' ({named})' if len(found) <= _FEW else ''}")
    start = f"Of {plural(len(pairs), 'ordered pair')} of tasks,"
    if not told:
        return f"{start} none can be told to help or harm."
    rest = len(pairs) - sum(sharing.told(*pair) in {"helps", "harms"} for pair in pairs)
    return f"{start} {joined([*told, f'{rest} cannot be told'] if rest else told)}."


def _shared(sharing: Sharing, names: Sequence[str], task: int) -> str:
    """What a task gains, and by sharing with whom: the best of what is told to help."""
    partners = sharing.partners(task, "helps")
    best = partners[0] if partners else None
    if sharing.told(task, None) == "helps" and (best is None or sharing.together[task] < sharing.pairs[task][best]):
        best = None
    change = sharing.together[task] if best is None else sharing.pairs[task][best]
    return f"{names[task]} with {'all tasks' if best is None else names[best]} ({signed(change, 3)})"


def _listed(tasks: Sequence[int], names: Sequence[str]) -> str:
    if len(tasks) == len(names) > 1:
        return f"every task ({joined(names)})" if len(names) <= _NAMED else "every task"
    return joined([*(names[i] for i in tasks[:_NAMED]), *_more(tasks)])


def _more(tasks: Sequence[int]) -> list[str]:
    return [f"{len(tasks) - _NAMED} more (record.json holds all)"] if len(tasks) > _NAMED else []


def _caption(sharing: Sharing, tasks: int) -> str:
    folds = sum(sharing.widths.values())
    chosen = joined([f"width {width} in {count} of {folds} folds" for width, count in sharing.widths.items()])
    if len(sharing.widths) == 1:
        chosen = f"width {next(iter(sharing.widths))} in every fold"
    return (
        "Change of a task's loss on new rows (row) where another task (column) shares a layer of width 1 with it, "
        f"against a model of its own; in shares of its variance, below 0 it gains. Last column: all tasks share one "
        f"layer, at the width below the rank that cross-validation inside the training part chooses ({chosen}). Equal "
        f"weights. ± is the 95 % interval of that number alone; ▼ helps and ▲ harms stand only where Holm's procedure "
        f"over all {tasks * (tasks - 1)} pairs (over the {tasks} tasks in the last column) tells so at 5 %"
    )


def _theory(sharing: Sharing, pairs: Sequence[tuple[int, int]]) -> str:
    if sharing.expected is None:
        return ""
    told = [pair for pair in pairs if sharing.told(*pair) in {"helps", "harms"}]
    alike = sum((sharing.expected[i][j] < 0) == (sharing.pairs[i][j] < 0) for i, j in told)
    agreed = f"; it has the sign of {alike} of the {len(told)} told here" if told else ""
    away = max(abs(sharing.expected[i][j] - sharing.pairs[i][j]) for i, j in pairs)
    return (
        "Theory beside it: with signals B = s₁w₁uᵀ + s₂w₂vᵀ and noise Σ of two tasks, sharing changes the loss of task "
        "a by s₂²u_b² − (p − 1)/(n − p − 1) · (Σ_aa − u_a² uᵀΣu), to first order: what one number cannot hold against "
        f"the noise that is shared. Its numbers stand in record.json, at most {share(away)} from what was measured"
        f"{agreed}. The formula is our own, for least squares and one layer of width 1; exact conditions for least "
        "squares and a sufficient one for linear networks are given by Liu, Jung, Li, Feng and Zhao (2026, "
        "arXiv:2603.28739)."
    )
