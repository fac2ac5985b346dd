"""What the pictures of a linear problem show, as plain records: numbers and names, ready for JSON.

Each record has ``figure`` (its kind) and ``tasks``; `equipoise.report` draws them with plotly, or matplotlib with the
extra ``plots``. All losses are in shares of each task's variance. A problem is a `LinearProblem` or its `Shares`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...core.numbers import Array
from ...core.records.audit import Condition
from ...errors import SettingError, TaskError, listed
from ...linear.geometry.creases import judge_creases
from ...linear.geometry.surfaces import surface_points
from ...linear.optima.minimal_mixture import minimal_mixture
from ...linear.optima.tchebycheff import tchebycheff
from ...linear.optima.weighted_sum import optimum
from ...linear.problem.gramian import checked_gramian, checked_width, correlations, factor
from ...linear.problem.linear_problem import LinearProblem
from ...linear.sign_test.condition import condition
from ..widths.front_sample import weight_sweep
from ..widths.optima import Shares, in_shares

__all__ = ["conflict_record", "feasible_record", "gap_record", "spectrum_record"]

Record = dict[str, Any]
DIGITS = 6


def _shares(problem: LinearProblem | Shares) -> Shares:
    return problem if isinstance(problem, Shares) else in_shares(problem)


def _plain(values: Array) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), DIGITS).tolist()


def feasible_record(
    problem: LinearProblem | Shares,
    width: int,
    *,
    count: int = 1500,
    creases: int = 80,
    sweep: int = 200,
    others: Mapping[str, ArrayLike] | None = None,
) -> Record:
    """The feasible region of two or three tasks: models by sign pattern, creases, what weights reach, other points.

    Args:
        problem: Of two or three tasks.
        width: 1 or rank - 1.
        count: Models.
        creases: Points a crease; 0 for none.
        sweep: Weights of the refined sweep; 0 for none.
        others: Name of a method -> (n, k) losses of its models, in shares of variance.

    Returns:
        ``models`` (losses, piece), ``pieces`` (number -> signs in words), ``creases`` (task, losses, optimal,
        unreachable, disagreement), ``weighted`` (losses), ``others``.

    Raises:
        TaskError: Another number of tasks.
        SettingError: A width without surfaces, or points of another shape.
    """
    shares = _shares(problem)
    if len(shares.tasks) not in {2, 3}:
        raise TaskError(f"the feasible region is drawn for two or three tasks; found {len(shares.tasks)}")
    found = surface_points(shares.gramian, width, count)
    signs = {int(piece): _signs(pattern) for piece, pattern in zip(found.pieces, found.signs, strict=True)}
    judged = []
    if creases and shares.rank == len(shares.tasks) == 3:
        for crease in judge_creases(shares.gramian, width, creases, leads=False):
            judged.append(
                {
                    "task": shares.tasks[crease.flipped[0]],
                    "losses": _plain(shares.ceiling - crease.captured),
                    "optimal": crease.optimal.tolist() if crease.optimal is not None else [],
                    "unreachable": crease.unreachable.tolist(),
                    "disagreement": _plain(crease.disagreement),
                }
            )
    named = {}
    for name, points in (others or {}).items():
        table = np.array(points, dtype=np.float64, ndmin=2)
        if table.shape[1] != len(shares.tasks):
            raise SettingError(f"others[{name!r}] must have {len(shares.tasks)} columns; found shape {table.shape}")
        named[str(name)] = _plain(table)
    return {
        "figure": "feasible region",
        "tasks": list(shares.tasks),
        "width": checked_width(width),
        "models": {"losses": _plain(shares.ceiling - found.captured), "piece": found.pieces.tolist()},
        "pieces": {str(piece): signs[piece] for piece in sorted(signs)},
        "creases": judged,
        "weighted": [_plain(losses) for _, losses in weight_sweep(shares, width, sweep)] if sweep else [],
        "others": named,
        "separate": _plain(shares.unexplained),
    }


def _signs(pattern: Array) -> str:
    return " ".join("+" if sign > 0 else "−" if sign < 0 else "0" for sign in pattern)


def gap_record(problem: LinearProblem | Shares, width: int, *, directions: int = 91) -> Record:
    """By how much a mixture improves every task at once, over the front of single models.

    Args:
        problem: Of two or three tasks.
        width: Below the rank.
        directions: Tchebycheff weights on a lattice of the simplex, at least so many.

    Returns:
        ``weights`` (n, k), ``losses`` (n, k), ``gap`` (n,), ``models`` (n,) fewest members of the mixture.

    Raises:
        TaskError: Another number of tasks.
    """
    shares = _shares(problem)
    tasks = len(shares.tasks)
    if tasks not in {2, 3}:
        raise TaskError(f"the gap over the front is drawn for two or three tasks; found {tasks}")
    size = 3
    while (size - 1 if tasks == 2 else (size - 1) * (size - 2) // 2) < directions:
        size += 1
    cells = (
        [(i, size - i) for i in range(1, size)]
        if tasks == 2
        else [(i, j, size - i - j) for i in range(1, size) for j in range(1, size - i)]
    )
    weights, losses, gaps, models = [], [], [], []
    for cell in cells:
        point = tchebycheff(shares.gramian, np.array(cell) / size, width)
        gap, members = 0.0, 1
        if point.value - point.mixture_value > 1e-9:
            mixed = minimal_mixture(shares.gramian, width, point.captured, np.ones(tasks))
            gap, members = max(mixed.lead, 0.0), len(mixed.probabilities)
        weights.append(_plain(np.array(cell) / size))
        losses.append(_plain(shares.losses(point.captured)))
        gaps.append(round(gap, 9))
        models.append(members)
    return {
        "figure": "gap over the front",
        "tasks": list(shares.tasks),
        "width": checked_width(width),
        "weights": weights,
        "losses": losses,
        "gap": gaps,
        "models": models,
    }


def conflict_record(
    gramian: ArrayLike,
    width: int,
    tasks: Sequence[str],
    *,
    least: float = 0.02,
    most: int = 60,
    known: Condition | None = None,
) -> Record:
    """The signed graph that the theorem's condition looks at: tasks, correlations (or those of the inverse), conflict.

    Args:
        gramian: (k, k).
        width: 1 for the correlations, otherwise the inverse where it exists.
        tasks: k names.
        least: Weaker edges are left out of the record, unless they are on the cycle.
        most: Edges kept, the strongest; `least` rises to that.
        known: The outcome of `condition`, where it is at hand.

    Returns:
        ``edges`` (from, to, correlation, on_cycle), ``cycle``, ``margin``, ``status``, ``matrix`` (words).
    """
    matrix, width = checked_gramian(gramian), checked_width(width)
    names = [str(task) for task in tasks]
    found = known or condition(matrix, width, tasks=names)
    related, words = correlations(matrix), "correlations of the predictions"
    if width > 1 and "inverse" in found.test:
        present = np.flatnonzero(related.diagonal())
        inverse = np.zeros_like(related)
        inverse[np.ix_(present, present)] = np.linalg.inv(related[np.ix_(present, present)])
        related, words = correlations((inverse + inverse.T) / 2), "correlations of the inverse"
    sizes = np.sort(np.abs(related[np.triu_indices(len(names), 1)]))[::-1]
    least = max(least, float(sizes[most])) if len(sizes) > most else least
    around = {frozenset(pair) for pair in zip(found.cycle, (*found.cycle[1:], *found.cycle[:1]), strict=True)}
    edges = [
        {"from": names[i], "to": names[j], "correlation": round(float(related[i, j]), DIGITS), "on_cycle": on}
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if (on := frozenset((names[i], names[j])) in around) or abs(related[i, j]) > least
    ]
    return {
        "figure": "conflict graph",
        "tasks": names,
        "width": width,
        "edges": edges,
        "cycle": list(found.cycle),
        "margin": round(found.margin, DIGITS),
        "status": found.status,
        "matrix": words,
        "least": least,
    }


def spectrum_record(problem: LinearProblem | Shares) -> Record:
    """What each width captures: of the sum (best possible) and of each task at equal weights per unit of variance.

    Returns:
        ``widths`` (1 to rank), ``total`` (share of the predictable variance of all tasks that the best layer of this
        width captures), ``captured`` (widths, k) shares of each task's predictable variance, ``separate`` (k,) losses.
    """
    shares = _shares(problem)
    forward, _ = factor(shares.gramian)
    sizes = np.linalg.svd(forward, compute_uv=False) ** 2
    energy = np.where(shares.predictable, shares.gramian.diagonal(), np.inf)
    even = np.ones(len(shares.tasks))
    captured = [optimum(shares.gramian, even, width).captured / energy for width in range(1, len(sizes) + 1)]
    if not len(sizes):
        raise SettingError(f"nothing can be predicted of {listed(shares.tasks)}: there is no spectrum")
    return {
        "figure": "spectrum",
        "tasks": list(shares.tasks),
        "widths": list(range(1, len(sizes) + 1)),
        "total": _plain(np.cumsum(sizes) / sizes.sum()),
        "captured": [_plain(row) for row in captured],
        "separate": _plain(shares.unexplained),
    }
