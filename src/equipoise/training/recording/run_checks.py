"""Detect ineffective runs: constant weights, identical runs, inactive tasks.

A run whose method changes nothing looks like any other. These checks read a record and report such runs with a remedy;
they never judge from one line, and they cover the recorded steps only.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...core.records.training import Notice, StepLine, TrainingConfig, TrainingRecord
from ...solve import Status
from .alarms.words import alarm_notices

__all__ = ["NO_DOUBTS", "ONE_METHOD", "identical_runs", "notices"]

LEAST_LINES = 3
"""With fewer recorded steps nothing is reported."""
LONG = 32
"""Recorded steps after which constant weights are reported while the run continues."""
UNIFORM = 1e-6
"""Weights that differ by less than this share of their mean are equal."""
SMALL_SHARE = 1e-3
"""A task below this share of the update takes no part in it."""
MOST_FAILED = 0.01
"""Above this share of failed solves a run is called degraded."""

ONE_METHOD = (
    frozenset({"FairGrad(alpha=1.0)", "NashMTL(max_norm=None, every=1)"}),
    frozenset({"CappedMGDA(cap=1.0)", "MGDA(zero='leave out', normalize='none', solver='exact')"}),
)
"""Settings of two methods that are one and the same: identical runs of these are no sign of a mistake."""

NO_DOUBTS = frozenset({"restarted", "lost lines", "finished"})
"""Kinds of notices that cast no doubt on a run."""

_MEANT_TO_BE_UNIFORM = ("LinearScalarization()", "LinearScalarization(weights=None)")


def notices(record: TrainingRecord, *, running: bool = False) -> tuple[Notice, ...]:
    """All notices about one run; with fewer than three lines only restarts, lost lines and alarms.

    While the run is `running`, uniform weights are mentioned from 32 lines on only: methods that move per epoch begin
    with them. The order is: restarts, lost lines, alarms (`alarms`), failed solves, steps with nothing to balance,
    uniform weights, small shares.

    Example:
        >>> config = TrainingConfig(method="MGDA()", kind="Gramian method", tasks=("a", "b"), heads="own", scale="mean",
        ...     nonfinite="raise", every=50, gradients=None, versions={})
        >>> notices(TrainingRecord(config=config, lines=(), torn=False, replaced=0))
        ()
    """
    found = [*_restarted(record), *_lost(record), *alarm_notices(record)]
    if len(record.lines) >= LEAST_LINES:
        found += _failed(record.lines)
        found += _nothing_to_balance(record.config, record.lines)
        if not running or len(record.lines) >= LONG:
            found += _uniform(record.config, record.lines)
        found += _small(record.config, record.lines)
    return tuple(found)


def identical_runs(name: str, record: TrainingRecord, others: Mapping[str, TrainingRecord]) -> tuple[Notice, ...]:
    """A notice for each other run with the same unweighted losses, to the last bit, at every common recorded step.

    Runs of the same method, or of two methods that coincide with these settings, are expected to agree and not
    mentioned; nor are runs of other tasks or with fewer than three common recorded steps.
    """
    mine = {line.step: line.raw_losses for line in record.lines}
    found = []
    for other_name, other in others.items():
        theirs = {line.step: line.raw_losses for line in other.lines}
        common = sorted(step for step in mine.keys() & theirs.keys() if any(loss is not None for loss in mine[step]))
        same_question = other.config.tasks == record.config.tasks and other.config.method != record.config.method
        if not same_question or len(common) < LEAST_LINES or any(mine[step] != theirs[step] for step in common):
            continue
        if any({record.config.method, other.config.method} == pair for pair in ONE_METHOD):
            continue  # two names of one method
        found.append(
            Notice(
                kind="identical runs",
                subject=other_name,
                words=f"{record.config.method} in '{name}' and {other.config.method} in '{other_name}' have the same "
                f"losses to the last bit at all {len(common)} common recorded steps ({common[0]} to {common[-1]}): "
                "the two trained the same model, so comparing them says nothing.",
                remedy="Check that each loop hands its losses to its own balancer and calls backward on what the "
                "balancer returns. If both are right, one of the methods had no effect here: look at its weights.",
            )
        )
    return tuple(found)


def _restarted(record: TrainingRecord) -> Iterator[Notice]:
    if not record.replaced:
        return
    yield Notice(
        kind="restarted",
        words=f"{record.replaced} recorded steps were trained again after a restart from an earlier step; the "
        "later ones are shown.",
        remedy="Nothing, if the run was resumed from a checkpoint. If it began anew without one, load the "
        "balancer's state with the model's.",
    )


def _lost(record: TrainingRecord) -> Iterator[Notice]:
    lost = sum(line.lost for line in record.lines)
    if not lost:
        return
    after = [line.step for line in record.lines if line.lost]
    yield Notice(
        kind="lost lines",
        words=f"{lost} recorded steps could not be written and are missing, the last of them before step "
        f"{after[-1]}. The training itself went on.",
        remedy="Look at the disk of the run's folder: most often it was full for a while.",
    )


def _failed(lines: Sequence[StepLine]) -> Iterator[Notice]:
    counts = lines[-1].counts
    total = sum(number for status, number in counts.items() if not status.startswith("skipped "))
    bad = {status: number for status, number in counts.items() if status in _NOT_OK or status in _NOT_FINITE}
    if not total or sum(bad.values()) <= MOST_FAILED * total:
        return
    listing = ", ".join(f"{status} {number:,}" for status, number in sorted(bad.items()))
    lost = sum(bad.get(status, 0) for status in _NOT_FINITE)
    yield Notice(
        kind="failed solves",
        words=f"{sum(bad.values()):,} of {total:,} steps had no proper solution ({listing}): this run is degraded.",
        remedy="Do not compare it with others before this is understood. "
        + (
            "NaN or inf in losses or gradients is the most frequent cause: nothing was trained in those steps. "
            "Lower the learning rate, or train in float32 or bfloat16."
            if 2 * lost > sum(bad.values())
            else "Losses of very different size are the most frequent cause: divide each by its first value."
        ),
    )


def _nothing_to_balance(config: TrainingConfig, lines: Sequence[StepLine]) -> Iterator[Notice]:
    if len(config.tasks) < 2:
        return
    shown = [
        [name for name, loss in zip(config.tasks, line.raw_losses, strict=True) if loss is not None] for line in lines
    ]
    several = [names for names in shown if len(names) > 1]
    some = [names for names in shown if names]
    given = [weight for line in lines for weight in line.weights or () if weight is not None]
    plain = all(abs(weight - 1) <= UNIFORM for weight in given)  # a method may weigh a task that is alone
    if len(some) >= LEAST_LINES and not several and plain:
        seen = ", ".join(f"'{name}'" for name in config.tasks if [name] in some)
        yield Notice(
            kind="one task",
            words=f"Each of the {len(some)} recorded steps up to step {lines[-1].step:,} had one task only "
            f"({seen}), so there was nothing to balance, and {config.method} trained like the plain loss of each "
            "batch.",
            remedy="Give the balancer the losses of all tasks in one call. Where each batch carries one task, draw "
            "one batch a task (equipoise.task_batches), or collect them: balancer.accumulate(number of tasks).",
        )
    counts = {status: n for status, n in lines[-1].counts.items() if status in Status.__members__}
    if several and counts and counts.keys() == {Status.NOTHING_SHARED.name}:
        yield Notice(
            kind="nothing shared",
            words=f"No parameter was shared by two tasks in any of the {sum(counts.values()):,} steps: "
            f"there was nothing to balance, and {config.method} trained each task on its own.",
            remedy="Check that the shared part of the model is not frozen or detached, and that the tasks' losses "
            "come from one model. If this is meant, a plain sum of the losses does the same for less.",
        )


_NOT_OK = frozenset(status.name for status in Status if not status.ok)
_NOT_FINITE = ("propagated", "empty")


def _uniform(config: TrainingConfig, lines: Sequence[StepLine]) -> Iterator[Notice]:
    weighted = [[w for w in line.weights if w is not None] for line in lines if line.weights is not None]
    weighted = [weights for weights in weighted if len(weights) > 1]
    if len(weighted) < LEAST_LINES or config.method in _MEANT_TO_BE_UNIFORM:
        return
    largest = max(float(np.ptp(weights)) / max(abs(float(np.mean(weights))), 1e-300) for weights in weighted)
    if largest > UNIFORM:
        yield from _unmoved(config, lines)
        return
    yield Notice(
        kind="uniform weights",
        words=f"All tasks had the same weight at each of the {len(weighted)} recorded steps up to step "
        f"{lines[-1].step:,}: so far {config.method} trained like equal weights.",
        remedy=_UNTRAINED
        if _trains(config)
        else "If the method moves per epoch, check that epochs are counted (balancer.end_epoch(), or "
        "steps_per_epoch=). Otherwise raise its step size, or use eq.LinearScalarization() and spare the rest.",
    )


_UNTRAINED = (
    "Check that the optimizer was given the method's parameters: optimizer.add_param_group({'params': "
    "balancer.parameters(), 'weight_decay': 0.0}). If it was, raise their learning rate."
)


def _trains(config: TrainingConfig) -> bool:
    """Whether the weights are trained parameters and nothing else, so that they move if anything does."""
    return any(f"{name}(" in config.method for name in ("UncertaintyWeighting", "IMTLL"))


def _unmoved(config: TrainingConfig, lines: Sequence[StepLine]) -> Iterator[Notice]:
    """Trained weights that differ between the tasks, but not between the steps."""
    rows = [line.weights for line in lines if line.weights is not None]
    tracks = [[w for w in column if w is not None] for column in zip(*rows, strict=True)]
    moved = any(np.ptp(track) > UNIFORM * max(map(abs, track)) for track in tracks if track)
    if moved or not _trains(config):
        return
    yield Notice(
        kind="uniform weights",
        words=f"No task's weight has moved in the {len(rows)} recorded steps up to step {lines[-1].step:,}: so far "
        f"{config.method} trained like a weighted sum.",
        remedy=_UNTRAINED,
    )


def _small(config: TrainingConfig, lines: Sequence[StepLine]) -> Iterator[Notice]:
    measured = [line for line in lines if line.gradients is not None and line.gradients.shares is not None]
    norms = [_median_norm(measured, task) for task in range(len(config.tasks))]
    for task, name in enumerate(config.tasks):
        shares = [line.gradients.shares[task] for line in measured if line.gradients and line.gradients.shares]
        present = [share for share in shares if share is not None]
        if len(present) < LEAST_LINES or max(present) >= SMALL_SHARE:
            continue
        yield Notice(
            kind="small share",
            subject=name,
            words=f"Task '{name}' made up less than 0.1 % of the update at each of the {len(present)} measured "
            f"steps (median {100 * float(np.median(present)):.2g} %; its gradient's median size is "
            f"{norms[task]:.2g}, the largest task's {max(norms):.2g}). Its loss hardly takes part in training.",
            remedy=_remedy(config, norms, task),
        )


def _median_norm(lines: Sequence[StepLine], task: int) -> float:
    norms = [line.gradients.norms[task] for line in lines if line.gradients is not None]
    present = [norm for norm in norms if norm is not None]
    return float(np.median(present)) if present else 0.0


def _remedy(config: TrainingConfig, norms: Sequence[float], task: int) -> str:
    if norms[task] == 0:
        return (
            "Its gradient is exactly zero on the shared parameters: check that this loss depends on them, and whether "
            "it has already reached its lowest value."
        )
    smallest = min(norm for norm in norms if norm > 0)
    weights = ", ".join(
        f"{name!r}: {smallest / norm:.2g}" for name, norm in zip(config.tasks, norms, strict=True) if norm
    )
    if all(norms):
        return (
            f"First train it alone, to see that it can be learnt. Then eq.LinearScalarization({{{weights}}}) gives all "
            "tasks gradients of equal size (scale the learning rate up), or divide each loss by its first value."
        )
    return "First train it alone, to see that it can be learnt. Then divide each loss by its first value."
