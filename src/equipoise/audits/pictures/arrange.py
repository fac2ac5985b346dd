"""The pictures of an audit, from its own record: what its cards and points hold, arranged for drawing.

The task cards hold correlations and separate losses, which are the Gramian in shares of variance, so spectrum, conflict
graph, surfaces and creases are exact geometry of the record: no search is made here and the table is not needed. What
was searched for (weighted sums, balanced models and by how much a mixture beats them) is taken from the verdict's
points. Where there is nothing to see, the picture is a sentence that says why.
"""

from typing import Any

import numpy as np

from ...core.records.audit import AuditRecord, FrontPoint, Pictures, Verdict
from ...errors import GramianError
from ...linear.problem.gramian import checked_gramian, effective_rank
from ..widths.optima import Shares
from .records import conflict_record, feasible_record, spectrum_record

__all__ = ["audit_pictures", "shares_of"]

Record = dict[str, Any]
Picture = Record | str
"""A record to draw, or a sentence that says why there is none."""

_MODELS, _CREASES = 600, 60
_GRAPH_TASKS = 20
"""Tasks up to which the names around a graph can be read."""
_VISIBLE = 1e-6
"""Gaps up to this share of variance are within the accuracy of the certificate: see the report's palette."""


def shares_of(record: AuditRecord) -> Shares:
    """The linear problem of a record, in shares of variance.

    Raises:
        GramianError: The correlations and losses of its cards belong to no predictions, or not to as many independent
            ones as its verdicts say.

    Example:
        >>> from equipoise import audit
        >>> shares_of(audit("linnerud", width=1)).gramian.shape
        (3, 3)
    """
    separate = np.array([task.separate_loss for task in record.tasks])
    roots = np.sqrt(np.clip(1.0 - separate, 0.0, None))
    related = np.array([task.correlations for task in record.tasks], dtype=np.float64)
    gramian = checked_gramian(related * np.outer(roots, roots))
    about = record.verdicts[0].about
    if effective_rank(gramian) != about.rank:
        raise GramianError(
            f"the cards of a record must hold the {about.rank} independent tasks of its verdicts; they hold "
            f"{effective_rank(gramian)}: it was changed, or two tasks are the same but for rounding"
        )
    return Shares(gramian, separate, tuple(task.name for task in record.tasks), about.rank, about.rows)


def audit_pictures(record: AuditRecord) -> Pictures:
    """All pictures of an audit, each a record for `equipoise.report` or a sentence that says why there is none.

    Args:
        record: Of an audit. A verdict without points gets no pictures.

    Cost: 10 ms a width up to 3 tasks, below 5 ms otherwise.

    Example:
        >>> from equipoise import audit
        >>> found = audit_pictures(audit("linnerud", width=1))
        >>> found.spectrum["widths"], found.region[1]["figure"]
        ([1, 2, 3], 'feasible region')
    """
    drawn = [verdict for verdict in record.verdicts if verdict.front]
    widths = [verdict.about.width for verdict in drawn]
    try:
        shares = shares_of(record)
    except GramianError as error:
        words = f"Not drawn: {error}."
        none: dict[int, Picture] = dict.fromkeys(widths, words)
        return Pictures(spectrum=words, conflict=none, region=none, gap=none)
    return Pictures(
        spectrum=_spectrum(shares),
        conflict={verdict.about.width: _conflict(shares, verdict) for verdict in drawn},
        region={verdict.about.width: _region(shares, verdict) for verdict in drawn},
        gap={verdict.about.width: _gap(shares, verdict) for verdict in drawn},
    )


def _spectrum(shares: Shares) -> Picture:
    if shares.rank == 0:
        return "The inputs predict nothing of any task: there is nothing for a layer to capture."
    if shares.rank == 1:
        return "All predictable parts are multiples of one another: a layer of width 1 captures everything."
    return spectrum_record(shares)


def _conflict(shares: Shares, verdict: Verdict) -> Picture:
    found = verdict.condition
    if found.status == "single point":
        return "No graph of conflicts: one model is best at every task."
    if found.status == "open":
        return "No graph of conflicts: no test is known for this width."
    if found.status == "undetermined" and not found.cycle:
        return "No graph of conflicts: the numbers of this test cannot be trusted."
    if len(shares.tasks) == 2:
        return (
            "No graph of conflicts: two tasks cannot be in conflict in this sense. Turning one of them around makes "
            "their only correlation positive."
        )
    if len(shares.tasks) > _GRAPH_TASKS:
        return (
            f"The graph of conflicts is drawn for up to {_GRAPH_TASKS} tasks; the table below holds all correlations."
        )
    return conflict_record(shares.gramian, verdict.about.width, shares.tasks, known=found)


def _region(shares: Shares, verdict: Verdict) -> Picture:
    width = verdict.about.width
    if verdict.status == "nothing_to_trade":
        return "No pictures of this width: one model is best at every task, so there is nothing to see."
    if len(shares.tasks) > 3:
        return (
            "The surfaces that the set of all models is made of are drawn for two or three tasks only; here there are "
            f"{len(shares.tasks)}."
        )
    if width not in {1, shares.rank - 1}:
        return "No surfaces are drawn: they are known for width 1 and for the number of independent tasks less one."
    others = {
        words: [point.losses for point in verdict.front if point.kind == kind]
        for kind, words in (("tchebycheff", "best balanced single model"), ("best weights", "best weights found"))
    }
    drawn = feasible_record(shares, width, count=_MODELS, creases=_CREASES, sweep=0, others=others)
    return drawn | {"weighted": [list(point.losses) for point in verdict.front if point.kind == "weighted sum"]}


def _gap(shares: Shares, verdict: Verdict) -> Picture:
    if verdict.status == "nothing_to_trade":
        return "No gap is drawn: where one model is best at every task, no mixture improves on it."
    models = [point for point in verdict.front if point.kind in {"one model", "tchebycheff"} and point.gap is not None]
    largest = max((_lead(point) for point in models), default=0.0)
    if len(shares.tasks) == 2:
        return "No gap is drawn: with two tasks some weights reach every best trade-off, at any width."
    if largest <= _VISIBLE:
        return (
            f"No gap is drawn: some weights reach each of the {len(models)} balanced models tried, to within 0.000001 "
            "of variance."
        )
    if len(shares.tasks) > 3:
        return f"The gap over the front is drawn for three tasks only; here there are {len(shares.tasks)}."
    excess = np.array([point.losses for point in models]) - shares.unexplained
    excess = np.maximum(excess, 0.0)
    size = np.maximum(excess.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return {
        "figure": "gap over the front",
        "tasks": list(shares.tasks),
        "width": verdict.about.width,
        "division": np.round(excess / size, 6).tolist(),
        "losses": [list(point.losses) for point in models],
        "gap": [_lead(point) for point in models],
    }


def _lead(point: FrontPoint) -> float:
    """The gap of a model, 0 where it is rounding."""
    return point.gap if point.gap is not None and point.gap > _VISIBLE else 0.0
