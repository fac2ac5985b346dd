"""A verdict in sentences. They say what was measured and never more; numbers are shares of each task's variance."""

from ...core.records.audit import SENSITIVE_DIGITS, Condition, Effect, Rung, VerdictStatus
from ...core.text import joined
from ...linear.optima.written_weights import MOST_DIGITS, WITHIN
from .optima import Shares, WidthSolution

__all__ = ["caveat", "counted", "sentences"]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_MANY_DIGITS = 3
_NAMED = 8
"""Tasks up to which a sentence names them all."""
_FEW = 3
_SAME = 5e-4


def counted(number: int) -> str:
    """A small number as a word.

    Example:
        >>> counted(3), counted(40)
        ('three', '40')
    """
    return _NUMBERS[number] if 0 <= number < len(_NUMBERS) else str(number)


def _loss(value: float) -> str:
    return f"{value:.3f}"


def sentences(
    shares: Shares,
    here: WidthSolution,
    status: VerdictStatus,
    condition: Condition,
    effect: Effect,
    ladder: tuple[Rung, ...],
    remedy: int | None,
) -> tuple[str, ...]:
    """The verdict; the first sentence is its headline: what to do, and what each task gains or pays by it."""
    if status == "nothing_to_trade":
        return (_nothing(shares, here.width),)
    rungs: dict[str, Rung] = {rung.kind: rung for rung in ladder if rung.kind != "wider"}
    equal, best, single = rungs["equal_weights"], rungs["best_weights"], rungs["tchebycheff"]
    if remedy is None and equal.closes:
        return (*_keep(shares, equal, single, effect), *_notes(shares, here, status, rungs, effect))
    said = [_headline(shares, here, status, rungs, effect, None if remedy is None else ladder[remedy])]
    if remedy is not None:
        said.append(_falls(shares, equal, ladder[remedy]))
    if status == "not_enough":
        said.append(
            f"The best weights found ({best.solves:,} solves) leave it at {_size_of(best)}; "
            f"{_single_and_mixture(rungs, single)}."
        )
        said += _conflict(condition)
    elif status == "undetermined":
        said.append(
            f"The best weights found ({best.solves:,} solves) leave it at {_size_of(best)}, the best single model "
            f"found at {_size_of(single)}; none goes below {_loss(single.lower)}, and whether one lies between is open."
        )
    else:
        said += _reached(best, single, effect)
    return (*said, *_notes(shares, here, status, rungs, effect))


def _nothing(shares: Shares, width: int) -> str:
    if shares.rank == 0:
        return "The inputs predict nothing of any task, so there is nothing to trade."
    dimensions = f"{shares.rank} dimension{'s' if shares.rank > 1 else ''}"
    part = shares.predictable
    if not part.all():
        lost = joined([task for task, known in zip(shares.tasks, part, strict=True) if not known])
        kept = [task for task, known in zip(shares.tasks, part, strict=True) if known]
        other = f"part of {kept[0]} spans" if len(kept) == 1 else f"parts of the other {counted(len(kept))} tasks span"
        return (
            f"The inputs cannot predict {lost}; the predictable {other} {dimensions} and the shared layer has {width}, "
            "so one model is best at every task at once."
        )
    return (
        f"The {counted(len(shares.tasks))} predictable parts span {dimensions} and the shared layer has {width}, "
        "so one model is best at every task at once."
    )


def _size_of(rung: Rung) -> str:
    return _loss(rung.worst_excess)


def _headline(
    shares: Shares,
    here: WidthSolution,
    status: VerdictStatus,
    rungs: dict[str, Rung],
    effect: Effect,
    cheapest: Rung | None,
) -> str:
    equal, best, single = rungs["equal_weights"], rungs["best_weights"], rungs["tchebycheff"]
    if status == "not_enough":
        verdict = "A weighted sum is not enough"
    elif status == "undetermined":
        verdict = "Whether a weighted sum is enough is undetermined"
    elif best.worst_excess > single.worst_excess + effect.threshold:
        # the sign test proves that weights exist; the search did not find them
        verdict = "A weighted sum is enough, but the weights were not found"
    elif best.sensitive:
        verdict = "A weighted sum is enough in theory only"
    else:
        verdict = "A weighted sum is enough, but not equal weights"
    if cheapest is None:
        return f"{verdict}; no remedy lowers the largest excess by more than {effect.threshold:.2f}."
    start = "equal weights" + (f" at width {here.width}" if cheapest.width != here.width else "")
    return f"{verdict}; {_action(shares, cheapest)}: against {start} {_changes(shares, equal, cheapest)}."


def _action(shares: Shares, cheapest: Rung) -> str:
    """What to do: a wider layer always closes, so nothing dearer is ever the cheapest."""
    if cheapest.kind == "tchebycheff":
        return "train one model on its largest excess (Tchebycheff, with each task's own best loss as its ideal)"
    if cheapest.kind == "wider" and cheapest.solves is None:
        return f"share a layer of width {cheapest.width} and keep equal weights"
    wider = f"share a layer of width {cheapest.width} and " if cheapest.kind == "wider" else ""
    if cheapest.weights is None or len(shares.tasks) > _NAMED:
        return f"{wider}train with the weights in the table"
    digits = cheapest.decimals
    pasted = ", ".join(
        f"{task!r}: {weight:.{digits}f}" for task, weight in zip(shares.tasks, cheapest.weights, strict=True)
    )
    return f"{wider}train with the weights {{{pasted}}}"


def _changes(shares: Shares, before: Rung, after: Rung) -> str:
    """What each task gains and pays, in shares of variance; of many tasks the largest three of each."""
    gains = {task: old - new for task, old, new in zip(shares.tasks, before.losses, after.losses, strict=True)}
    up = sorted((task for task, gain in gains.items() if gain >= _SAME), key=lambda task: -gains[task])
    down = sorted((task for task, gain in gains.items() if gain <= -_SAME), key=gains.__getitem__)
    same = [task for task in gains if task not in up and task not in down]
    parts = []
    for tasks, verb in ((up, "gain"), (down, "pay")):
        if not tasks:
            continue
        told = tasks if len(gains) <= _NAMED else tasks[:_FEW]
        first = f"{told[0]} {verb}s {_loss(abs(gains[told[0]]))}"
        said = [first, *(f"{task} {_loss(abs(gains[task]))}" for task in told[1:])]
        left = len(tasks) - len(told)
        parts.append(joined([*said, f"{counted(left)} more {verb} less"] if left else said))
    if not down:
        parts.append("no task pays")
    elif same:
        parts.append(
            f"{joined(same) if len(same) <= _FEW else f'{counted(len(same))} tasks'} stay as they are"
            if len(same) > 1
            else f"{same[0]} stays as it is"
        )
    return "; ".join(parts) + " (shares of variance)"


def _falls(shares: Shares, before: Rung, after: Rung) -> str:
    """The number that decides, before and after, with its task, and the raw losses beside it."""
    return (
        "The largest excess (a task's loss above that of a model of its own, in shares of its variance) falls from "
        f"{_size_of(before)} ({_largest(shares, before)}) to {_size_of(after)} ({_largest(shares, after)}), the "
        f"largest loss {_from_to(before.worst, after.worst)}."
    )


def _from_to(before: float, after: float) -> str:
    if abs(before - after) < _SAME:
        return f"stays at {_loss(after)}"
    return f"{'falls' if after < before else 'rises'} from {_loss(before)} to {_loss(after)}"


def _largest(shares: Shares, rung: Rung) -> str:
    """The tasks whose excess is the largest, to three digits."""
    excess = [loss - own for loss, own in zip(rung.losses, shares.unexplained, strict=True)]
    tasks = [task for task, value in zip(shares.tasks, excess, strict=True) if _loss(value) == _size_of(rung)]
    if len(tasks) == len(shares.tasks):
        return "all tasks"
    return joined(tasks) if len(tasks) <= _FEW else f"{counted(len(tasks))} tasks"


def _keep(shares: Shares, equal: Rung, single: Rung, effect: Effect) -> list[str]:
    """Equal weights are enough, and stand first in every audit: there is nothing to do."""
    sure = equal.worst_excess - single.lower <= _SAME
    return [
        f"{'Equal weights are enough' if sure else 'Equal weights are enough in practice'}: with them the largest "
        f"excess of a task over its own best is {_size_of(equal)} of its variance ({_largest(shares, equal)}); "
        f"{_no_better(equal, single)}."
    ]


def _reached(best: Rung, single: Rung, effect: Effect) -> list[str]:
    """How good the best weights are, and why they are not the remedy where they are not."""
    if best.worst_excess > single.worst_excess + effect.threshold:
        return [
            f"The sign test shows that some weights reach the best single model, whose largest excess is "
            f"{_size_of(single)}; the best weights found ({best.solves:,} solves) leave it at {_size_of(best)}."
        ]
    if best.sensitive:
        known = best.weight_digits is not None
        digits = f"{best.weight_digits}" if known else f"more than {counted(MOST_DIGITS)}"
        fewer = "fewer digits" if known else f"up to {counted(MOST_DIGITS)} digits"
        return [
            f"The best weights found ({best.solves:,} solves) reach {_size_of(best)}, and {_no_better(best, single)}, "
            f"but they must be right to {digits} digits, too sensitive to be hit: all weights tried with {fewer} leave "
            f"the largest excess more than {WITHIN:.2f} above that."
        ]
    return [f"With the best weights found ({best.solves:,} solves) it is {_size_of(best)}; {_no_better(best, single)}."]


def _single_and_mixture(rungs: dict[str, Rung], single: Rung) -> str:
    mixture = rungs["mixture"]
    how = (
        "Tchebycheff"
        if single.exactness == "exact"
        else f"Tchebycheff, the best found; none goes below {_loss(single.lower)}"
    )
    said = f"one model reaches {_size_of(single)} ({how})"
    if mixture.models > 1 and single.worst_excess - mixture.worst_excess > _SAME:
        said += f", a mixture of {counted(mixture.models)} {_size_of(mixture)}"
    return said


def _conflict(condition: Condition) -> list[str]:
    if condition.status != "fails" or not condition.cycle:
        return []
    margin = condition.margin
    shown = f"{margin:.2f}".removeprefix("0") if margin >= 0.005 else f"{margin:.1g}"
    return [f"Tasks in conflict: {', '.join(condition.cycle)} (margin {shown})."]


def _no_better(found: Rung, single: Rung) -> str:
    if found.worst_excess - single.lower <= _SAME:
        return "no single model of this width does better"
    if found.worst_excess - single.worst_excess <= _SAME:
        return f"no better single model was found, and none goes below {_loss(single.lower)}"
    if single.exactness == "exact":
        return f"the best single model of this width reaches {_size_of(single)}"
    return f"the best single model found reaches {_size_of(single)}, and none goes below {_loss(single.lower)}"


def _notes(
    shares: Shares, here: WidthSolution, status: VerdictStatus, rungs: dict[str, Rung], effect: Effect
) -> list[str]:
    """What a reader must know besides: fragile weights, a layer that is too narrow, gaps elsewhere on the front."""
    best, equal, single = rungs["best_weights"], rungs["equal_weights"], rungs["tchebycheff"]
    notes = []
    told = status == "enough" and best.sensitive and best.worst_excess <= single.worst_excess + effect.threshold
    if not equal.closes and not told and best.weight_digits is None:
        notes.append(
            f"No weights with up to {counted(MOST_DIGITS)} digits were found that come within {WITHIN:.2f} of "
            f"{_size_of(best)} at width {here.width}."
        )
    elif not equal.closes and not told and best.weight_digits is not None and best.weight_digits >= _MANY_DIGITS:
        hit = ": too sensitive to be hit" if best.weight_digits >= SENSITIVE_DIGITS else ""
        notes.append(
            f"To come within {WITHIN:.2f} of the best weights found at width {here.width}, weights must be right to "
            f"{best.weight_digits} digits{hit}."
        )
    if status == "enough" and single.lower > effect.threshold:
        notes.append(
            f"Enough is said of width {here.width} only: the layer itself costs accuracy, and every single model of it "
            f"leaves some task at least {_loss(single.lower)} of its variance above its own best."
        )
    if status == "enough" and effect.largest_gap >= effect.threshold:
        notes.append(
            f"Of {effect.directions} trade-offs tried, there are single models that no weights reach and that a "
            f"mixture beats in every task at once, by up to {_loss(effect.largest_gap)}."
        )
    return notes


def caveat(shares: Shares, width: int, new_rows: bool = False) -> str:
    """What no verdict says; with `new_rows`, that of one which says something of these."""
    fitted = f"fitted to and measured on the same {shares.rows:,} rows"
    if shares.task_rows:
        fitted = (
            "each task's own model fitted to the rows that have its target "
            f"({min(shares.task_rows):,} to {max(shares.task_rows):,} of {shares.rows:,}), and excesses measured over "
            "the inputs of all of them, which holds if rows that miss a target follow the same law"
        )
    unsaid = (
        f"This is about linear models with a shared layer of width {width}, {fitted}"
        + (" except where new rows are named: " if new_rows else ": not about new rows, and ")
        + "not about a nonlinear network."
    )
    doubtful = [task for task, noise in zip(shares.tasks, shares.like_noise, strict=True) if noise]
    if doubtful:
        unsaid += (
            f" {shares.inputs} inputs on this number of rows explain as much of pure noise as they explain of "
            f"{joined(doubtful)}: what is traded there may not exist on new rows."
        )
    return unsaid
