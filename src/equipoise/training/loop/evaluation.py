"""What a model's losses and metrics are on a part of the data, all of its rows."""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...errors import LossError
from ..problem.problem import Problem
from ..problem.sources import Source
from ..problem.trees import apart, joined
from .feeding import walk

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """A model on one part of the data.

    Attributes:
        losses: Task -> mean loss over labelled rows; None where there is none, or it is not finite.
        metrics: Task -> name -> value; None where it is not finite.
        rows: Task -> rows that its loss is a mean over.
    """

    losses: dict[str, float | None]
    metrics: dict[str, dict[str, float | None]]
    rows: dict[str, int]


def evaluate(problem: Problem, model: nn.Module, source: Source, device: torch.device, amp: Any = None) -> Evaluation:
    """Losses and metrics in evaluation mode, without gradients; the mode is put back.

    A loss of one number a sample is averaged over all labelled samples of the part; a scalar is averaged over batches
    by their numbers of rows, which is the mean over rows if the scalar is one.

    Raises:
        LossError: A loss is no tensor.
    """
    sums: dict[str, float] = dict.fromkeys(problem.tasks, 0.0)
    counts: dict[str, int] = dict.fromkeys(problem.tasks, 0)
    kept: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    shown = [task for task in problem.tasks if problem.metrics[task]]
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            for batch in walk(source, problem.evaluation_rows, device):
                with torch.autocast(device.type, amp, enabled=amp is not None):
                    outputs = problem.outputs(model, batch.data)
                    found = problem.sums_of(outputs, batch)
                for task, (total, count) in found.items():
                    sums[task] += total
                    counts[task] += count
                if not shown:
                    continue
                if batch.sizes is None:
                    kept[""].append((outputs, batch.data))
                    continue
                parts = zip(apart(outputs, batch.sizes), apart(batch.data, batch.sizes), strict=True)
                for task, pair, size in zip(problem.tasks, parts, batch.sizes, strict=True):
                    if size and problem.metrics[task]:
                        kept[task].append(pair)
            metrics = {task: _metrics(problem, task, kept[task] if task in kept else kept[""]) for task in shown}
    finally:
        for module, mode in training:
            module.training = mode
    losses = {task: _finite(sums[task] / counts[task]) if counts[task] else None for task in problem.tasks}
    return Evaluation(losses, metrics, counts)


def _metrics(problem: Problem, task: str, kept: list[tuple[Any, Any]]) -> dict[str, float | None]:
    outputs, data = joined([pair[0] for pair in kept]), joined([pair[1] for pair in kept])
    found = {}
    for metric in problem.metrics[task]:
        value = metric.function(outputs, data)
        try:
            found[metric.name] = _finite(float(value))
        except (TypeError, ValueError, RuntimeError) as error:
            raise LossError(
                f"metric '{metric.name}' of task '{task}' must return one number; got {value!r}."
            ) from error
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
