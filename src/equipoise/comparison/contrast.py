"""Two entrants of a fit, held against each other: for each target and on average, over the seeds that both finished.

What is compared is the logarithm of the ratio of held-out losses: 12 % of a loss means the same for a target in watts
and for one in nats, and the mean over targets is their geometric mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.multiple_tests import holm
from ..core.records.fitted import Entrant, FitRecord
from .paired import LEVEL, Paired, paired

__all__ = [
    "Contrast",
    "Finding",
    "TaskContrast",
    "contrast",
    "losses_of",
    "overlap_of",
    "selected_losses",
    "single_model",
]

Finding = Literal["better", "worse", "open"]
Losses = Mapping[int, Mapping[str, float | None]]
"""Seed -> task -> held-out loss."""
_SINGLE = ("joint", "weights", "linear")


@dataclass(frozen=True)
class TaskContrast:
    """One target.

    Attributes:
        task: Name of the target.
        logs: Logarithms of first loss / second loss, over the seeds with both; None where there is no such ratio.
        absent: Why there is none, as a sentence; "" where there is one.
        finding: Whether the first is better or worse: by its own test in each direction at `LEVEL` / 2, corrected for
            all targets (Holm).
        adjusted: The corrected two-sided p-value behind `finding`.
    """

    task: str
    logs: Paired | None
    absent: str
    finding: Finding
    adjusted: float


@dataclass(frozen=True)
class Contrast:
    """The first entrant against the second.

    Attributes:
        average: Logarithm of the geometric mean over the targets of first loss / second loss; None where no seed has
            all.
        finding: Whether the first is better or worse on average, at `LEVEL`.
        tasks: One a target, in the order of the record.
    """

    average: Paired | None
    finding: Finding
    tasks: tuple[TaskContrast, ...]

    def found(self, finding: Finding) -> list[TaskContrast]:
        """The targets with this finding."""
        return [task for task in self.tasks if task.finding == finding]


def contrast(names: Sequence[str], first: Losses, second: Losses, overlap: float) -> Contrast:
    """Hold losses against each other, seed by seed.

    A test at `LEVEL` errs in either direction with half of it. So where two entrants do not differ, the chance that the
    first is called better on average is at most 2.5 %, and that it is called better for any target at most 2.5 %.

    Args:
        names: Names of the targets.
        first: Held-out losses of the one.
        second: Held-out losses of the other.
        overlap: Share by which the splits overlap, as `overlap_of` gives it.

    Example:
        >>> one = {0: {"a": 0.8}, 1: {"a": 0.9}, 2: {"a": 0.85}}
        >>> other = {0: {"a": 1.0}, 1: {"a": 1.1}, 2: {"a": 1.0}}
        >>> found = contrast(["a"], one, other, overlap=0.0)
        >>> found.finding, round(math.exp(found.average.mean), 2)
        ('better', 0.82)
    """
    ratios, absent = {}, {}
    for name in names:
        pairs = {seed: (first[seed].get(name), second[seed].get(name)) for seed in first if seed in second}
        known = {seed: (a, b) for seed, (a, b) in pairs.items() if a is not None and b is not None}
        zeros = sum(a == 0 or b == 0 for a, b in known.values())
        ratios[name] = {} if zeros else {seed: math.log(a / b) for seed, (a, b) in known.items()}
        if zeros:
            absent[name] = f"a loss is 0 in {zeros} of {len(known)} seeds, so there is no ratio"
        elif not known:
            absent[name] = "no seed has a held-out loss of both"
    each = {name: paired(list(logs.values()), overlap) for name, logs in ratios.items() if logs}
    below = dict(zip(each, holm([logs.p_below() for logs in each.values()]), strict=True))
    above = dict(zip(each, holm([logs.p_above() for logs in each.values()]), strict=True))
    shared = [ratios[name] for name in each]
    complete = [seed for seed in (shared[0] if shared else ()) if all(seed in logs for logs in shared)]
    means = [sum(logs[seed] for logs in shared) / len(shared) for seed in complete]
    average = paired(means, overlap) if means else None
    return Contrast(
        average,
        "open" if average is None else _finding(average.p_below(), average.p_above()),
        tuple(
            TaskContrast(
                name,
                each.get(name),
                absent.get(name, ""),
                _finding(below.get(name, 1.0), above.get(name, 1.0)),
                min(1.0, 2 * min(below.get(name, 1.0), above.get(name, 1.0))),
            )
            for name in names
        ),
    )


def _finding(below: float, above: float) -> Finding:
    return "better" if below <= LEVEL / 2 else ("worse" if above <= LEVEL / 2 else "open")


def losses_of(entrant: Entrant) -> Losses:
    """The held-out losses of an entrant's finished runs."""
    return {run.seed: run.test for run in entrant.runs if run.status == "done"}


def selected_losses(record: FitRecord) -> Losses:
    """The held-out losses of what was selected: for each target those of the entrant that predicts it."""
    runs = {entrant.name: losses_of(entrant) for entrant in record.entrants}
    return {
        seed: {
            task: runs[name][seed].get(task) if seed in runs[name] else None for task, name in record.selected.items()
        }
        for seed in record.seeds
    }


def overlap_of(record: FitRecord) -> float:
    """Rows of the test part over rows of the training part where every seed draws its own split, else 0."""
    return record.split.test / record.split.train if record.split.redrawn else 0.0


def single_model(record: FitRecord) -> Entrant | None:
    """The entrant that stands for "one model for all targets": among these, the one that the validation part prefers.

    Fewest runs without a loss first, then the lowest geometric mean of validation losses over targets and seeds; the
    test part has no say.
    """
    ranked = [(_validation(entrant), place) for place, entrant in enumerate(record.entrants) if entrant.role in _SINGLE]
    return record.entrants[min(ranked)[1]] if ranked else None


def _validation(entrant: Entrant) -> tuple[int, float]:
    """How many losses are unknown, and the mean logarithm of those that are known."""
    tasks = {task for run in entrant.runs for task in run.val}
    found = [run.val.get(task) for run in entrant.runs for task in sorted(tasks)]
    known = [math.log(max(loss, 1e-300)) for loss in found if loss is not None]
    unfinished = sum(run.status != "done" for run in entrant.runs)
    return (unfinished + len(found) - len(known), sum(known) / len(known) if known else math.inf)
