"""The numbers of a recorded step, and gradients that the record measures for it."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...balancer import Balancer
from ...balancing.step_record import StepRecord
from ...core.losses import read_losses
from ...core.records.training import GradientLine, Numbers, Place
from ...engine.blocks.task_gradients import Gradients
from .gradient_probe import MOST_BYTES, describe_gradients, measure_gradients, numbers

__all__ = ["describe_step", "measure_at"]

_PLACES: dict[str, Place] = {"features": "features", "sketch": "sketch", "last layer": "one layer"}  # by engine


def describe_step(balancer: Balancer, outcome: StepRecord | None, k: int, measured: Gradients | None) -> dict[str, Any]:
    """The fields of a `StepLine` that say what the Balancer did.

    Args:
        balancer: The Balancer after the step.
        outcome: Record of the step; None where nothing finite was left.
        k: Number of all tasks.
        measured: Gradients that the record measured, where the method computes none.
    """
    raw: Numbers = (None,) * k
    weighted: Numbers | None = None
    weights: Numbers | None = None
    gradients: GradientLine | None = None
    groups = 0
    if outcome is not None:
        rows = outcome.present.present
        factors = None if outcome.weights is None else outcome.weights.detach().cpu().numpy()
        if factors is not None and factors.ndim > 1:  # granularity=: one row a group, and no single update
            groups, factors = len(factors), factors.mean(axis=0)
        values = np.zeros(0) if outcome.raw_losses is None else outcome.raw_losses.cpu().numpy()
        raw = numbers(values, rows, k, digits=17)
        if factors is not None:
            weights, weighted = numbers(factors, rows, k, digits=17), numbers(factors * values, rows, k)
        gramian = outcome.gramian if measured is None else measured.gramian()
        if gramian is not None:
            at: Place = "shared parameters"
            if measured is None:
                metric = balancer.settings.metric is not None
                at = "shared parameters, in the optimizer's metric" if metric else _PLACES.get(balancer.plan.engine, at)
            single = None if groups else factors
            gradients = describe_gradients(gramian, single, rows, k, measured=measured is not None, at=at)
    return {
        "balancer_seconds": None if outcome is None else round(outcome.seconds, 7),
        "raw_losses": raw,
        "weighted_losses": weighted,
        "weights": weights,
        "groups": groups,
        "gradients": gradients,
        "status": "NO_OUTCOME" if outcome is None else outcome.status.name,
        "certificate": outcome.certificate if outcome is not None and math.isfinite(outcome.certificate) else None,
        "counts": dict(balancer.counts),
    }


def measure_at(balancer: Balancer, losses: Any, rows: Sequence[int]) -> tuple[Gradients | None, str, int]:
    """Gradients of a step by one backward pass a task, or None.

    Returns:
        The gradients, words for the log ("" for none), and the log level of these.
    """
    if losses is None:  # `flush`: the micro-batches before it were summed up
        return None, "", logging.INFO
    present, values = read_losses(losses, balancer.tasks or (), differentiable=True)
    place = dict(zip(present, values, strict=True))
    if not place.keys() >= set(rows):  # within `accumulate`: a task that the last micro-batch did not show
        return None, "", logging.INFO
    try:
        found = measure_gradients([place[row] for row in rows], balancer.ownership.fixed)
        if found is not None:
            found.gramian()  # kept with the gradients; memory may be short here too
    except (RuntimeError, MemoryError) as error:  # the line is worth having without
        return None, f"gradients could not be measured: {error}", logging.WARNING
    if found is None:
        words = (
            f"gradients are not recorded: k gradients take more than {MOST_BYTES >> 20} MiB, or the graph is "
            "compiled and can be walked only once."
        )
        return None, words, logging.INFO
    return found, "", logging.INFO
