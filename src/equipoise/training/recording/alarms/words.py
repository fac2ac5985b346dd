"""What an alarm of a recording means: since when, how sure, what it costs the other tasks, what to do."""

from collections.abc import Iterator, Sequence
from itertools import chain
from statistics import median

from ....core.records.training import Alarm, Notice, StepLine, TrainingRecord
from .run_alarms import FALSE_ALARMS

__all__ = ["alarm_notices", "taken_steps"]

_FINISHED = 0.5  # of its first value: a task that came this far has learnt something
_GREEDY = 1.5  # times an even share of the update: more than a finished task should take
_SURE = f"The test is sequential: at most {100 * FALSE_ALARMS:.0f} % of runs give such an alarm for nothing."


def alarm_notices(record: TrainingRecord) -> Iterator[Notice]:
    """A notice for each alarm in the record; for a task the first of each kind."""
    seen: set[tuple[str, int | None]] = set()
    for alarm in chain.from_iterable(line.alarms for line in record.lines):
        key = ("stopped" if alarm.kind in ("stopped", "rose") else alarm.kind, alarm.task)
        if key in seen and alarm.kind != "not moved":
            continue
        seen.add(key)
        if alarm.kind == "not moved":
            yield _not_moved(alarm)
        elif alarm.kind == "against":
            yield _starved(record, alarm)
        else:
            yield _stopped(record, alarm)


def taken_steps(record: TrainingRecord) -> list[tuple[int, tuple[float | None, ...], tuple[float | None, ...]]]:
    """Measured steps of the optimizer with inner products: number, over the shared and over all parameters."""
    found = []
    for step in chain.from_iterable(line.taken for line in record.lines):
        if step.shared is not None and step.everywhere is not None:
            found.append((step.step, step.shared, step.everywhere))
    return found


def _stopped(record: TrainingRecord, alarm: Alarm) -> Notice:
    assert alarm.task is not None
    name, lines = record.config.tasks[alarm.task], [line for line in record.lines if line.step >= alarm.since]
    share, cost = _cost(lines, alarm.task)
    even = 1 / max(1, len(record.config.tasks))
    learnt = alarm.before is not None and alarm.before <= _FINISHED and alarm.kind == "stopped"
    own = "" if alarm.own is None else f"{alarm.own:.3g} times"
    others = "" if alarm.others is None else f"; the other tasks' median is {alarm.others:.2g} times"
    fell = "" if alarm.before is None else f" (there {alarm.before:.2g} times its first value)"
    what = "has gone up" if alarm.kind == "rose" else "has stopped improving"
    words = (
        f"The loss of task '{name}' {what} since about step {alarm.since:,}{fell}: at step {alarm.found:,}, where this "
        f"was found, it was {own} what it was then{others} theirs. {cost} {_SURE}"
    )
    if learnt and (share is None or share <= _GREEDY * even):
        remedy = (
            "Nothing, if this is as low as the loss can get. Otherwise train the task alone, to see how low it gets."
        )
        return Notice(kind="finished", subject=name, words=words, remedy=remedy)
    remedy = (
        "Train it alone. If its loss stands still there too, look at its labels, its head and its learning rate, or "
        "leave it out: it costs the others and gains nothing. If it comes down there, the others hold it up: raise its "
        "weight."
    )
    if learnt:
        remedy = (
            "If this is as low as its loss can get, leave it out or lower its weight: it takes more than an even share "
            "of the update. Otherwise train it alone, to see how low it gets."
        )
    return Notice(kind="stopped improving", subject=name, words=words, remedy=remedy)


def _starved(record: TrainingRecord, alarm: Alarm) -> Notice:
    assert alarm.task is not None
    name = record.config.tasks[alarm.task]
    share, _ = _cost([line for line in record.lines if line.step >= alarm.since], alarm.task)
    part = "" if share is None else f" It made up {100 * share:.2g} % of the update (median)."
    what = "the step that the optimizer took" if alarm.measured == "steps taken" else "the method's direction"
    return Notice(
        kind="starved",
        subject=name,
        words=f"Task '{name}' is starved: {what} raised its loss to first order on the shared parameters in "
        f"{alarm.count} of {alarm.of} measured steps from step {alarm.since:,} to {alarm.found:,}.{part} {_SURE}",
        remedy="Raise its weight, or choose a method whose direction raises no loss (eq.UPGrad(), eq.MGDA()). With "
        "momentum or Adam also lower beta1: old gradients of the other tasks keep moving against this one.",
    )


def _not_moved(alarm: Alarm) -> Notice:
    shown = ", ".join(f"'{name}'" for name in alarm.names)
    more = f" and {alarm.count - len(alarm.names)} more" if alarm.count > len(alarm.names) else ""
    return Notice(
        kind="not moved",
        subject=alarm.names[0] if alarm.names else "",
        words=f"{alarm.count} parameters with a gradient did not change at all in any of the {alarm.of} measured steps "
        f"from step {alarm.since:,} to {alarm.found:,}: {shown}{more}.",
        remedy="Check that the optimizer was given them, that the learning rate of their group is not zero, and, for "
        "parameters in half precision, that a step is not lost to rounding.",
    )


def _cost(lines: Sequence[StepLine], task: int) -> tuple[float | None, str]:
    """A task's median share of the update, and what the others had to bear, as a sentence."""
    measured = [line.gradients for line in lines if line.gradients is not None]
    shares = [g.shares[task] for g in measured if g.shares is not None]
    present = [share for share in shares if share is not None]
    along = [
        [c for other, c in enumerate(g.to_update) if other != task and c is not None] for g in measured if g.to_update
    ]
    if not present:
        return None, "What it costs the others is not known: no shares of the update were recorded since."
    share, against = float(median(present)), sum(any(c < 0 for c in cosines) for cosines in along)
    return share, (
        f"Since then it made up {100 * share:.2g} % of the update (median of {len(present)} recorded steps), and the "
        f"update went against another task in {against} of {len(along)}."
    )
