"""A verdict in sentences. They say what was measured and never more; numbers are shares of each task's variance."""

from collections.abc import Sequence

from ...core.records.audit import SENSITIVE_DIGITS, Condition, Effect, Rung, Verdict, VerdictStatus
from ...linear.optima.best_weights import MOST_DIGITS, WITHIN
from .optima import Excess, Shares, WidthSolution

__all__ = ["caveat", "counted", "sentences", "width_summary"]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_MANY_DIGITS = 3
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


def _size(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value >= 0.005 else f"{value:.1g}"


def _joined(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def sentences(
    shares: Shares,
    here: WidthSolution,
    status: VerdictStatus,
    condition: Condition,
    effect: Effect,
    ladder: tuple[Rung, ...],
    remedy: int,
) -> tuple[str, ...]:
    """The verdict; the first sentence is its headline."""
    if status == "nothing_to_trade":
        return (_nothing(shares, here.width),)
    rungs: dict[str, Rung] = {rung.kind: rung for rung in ladder if rung.kind != "wider"}
    if status == "not_enough":
        said = _not_enough(rungs, condition, ladder[remedy])
    elif status == "enough":
        said = _enough(shares, here, rungs, effect, ladder[remedy])
    else:
        said = _open(rungs)
    return (*said, *_notes(shares, here, status, rungs, effect))


def _nothing(shares: Shares, width: int) -> str:
    if shares.rank == 0:
        return "The inputs predict nothing of any task, so there is nothing to trade."
    dimensions = f"{shares.rank} dimension{'s' if shares.rank > 1 else ''}"
    part = shares.predictable
    if not part.all():
        lost = _joined([task for task, known in zip(shares.tasks, part, strict=True) if not known])
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


def _not_enough(rungs: dict[str, Rung], condition: Condition, cheapest: Rung) -> list[str]:
    best, single = rungs["best_weights"], rungs["tchebycheff"]
    return [
        "A weighted sum is not enough.",
        f"The worst task stays at {_loss(best.worst)} of its variance for the best weights found "
        f"({best.solves:,} solves); {_single_and_mixture(rungs, single)}.",
        *_conflict(condition),
        _remedy(cheapest),
    ]


def _single_and_mixture(rungs: dict[str, Rung], single: Rung) -> str:
    mixture = rungs["mixture"]
    how = (
        "Tchebycheff"
        if single.exactness == "exact"
        else f"Tchebycheff, the best found; none goes below {_loss(single.lower)}"
    )
    said = f"one model reaches {_loss(single.worst)} ({how})"
    if mixture.models > 1 and single.worst - mixture.worst > _SAME:
        said += f", a mixture of {counted(mixture.models)} {_loss(mixture.worst)}"
    return said


def _conflict(condition: Condition) -> list[str]:
    if condition.status != "fails" or not condition.cycle:
        return []
    return [f"Tasks in conflict: {', '.join(condition.cycle)} (margin {_size(condition.margin)})."]


def _remedy(cheapest: Rung) -> str:
    """A model on its worst task, or a wider layer: the latter always closes, so nothing dearer is ever the cheapest."""
    value = _loss(cheapest.worst)
    if cheapest.kind == "wider":
        weights = "equal weights give" if cheapest.solves is None else "a weighted sum gives"
        return f"Cheapest remedy: width {cheapest.width}, where {weights} {value}."
    return f"Cheapest remedy: train one model on its worst task (Tchebycheff), which gives {value}."


def _enough(shares: Shares, here: WidthSolution, rungs: dict[str, Rung], effect: Effect, cheapest: Rung) -> list[str]:
    equal, best, single = rungs["equal_weights"], rungs["best_weights"], rungs["tchebycheff"]
    if equal.worst <= single.lower + effect.threshold:
        sure = equal.worst - single.lower <= _SAME
        return [
            f"{'Equal weights are enough' if sure else 'Equal weights are enough in practice'}: they bring the worst "
            f"task, {equal.worst_task}, to {_loss(equal.worst)} of its variance; {_no_better(equal, single)}."
        ]
    if best.worst > single.worst + effect.threshold:
        # the sign test proves that weights exist; the search did not find them
        return [
            "A weighted sum is enough, but the weights were not found: the sign test shows that some weights reach the "
            f"best single model, whose worst task is at {_loss(single.worst)} of its variance.",
            f"The best weights found ({best.solves:,} solves) leave it at {_loss(best.worst)}.",
        ]
    if best.sensitive:
        known = best.weight_digits is not None
        digits = f"{best.weight_digits}" if known else f"more than {counted(MOST_DIGITS)}"
        fewer = "fewer digits" if known else f"up to {counted(MOST_DIGITS)} digits"
        return [
            f"A weighted sum is enough only with weights right to {digits} digits, too sensitive to be hit.",
            f"The best weights found ({best.solves:,} solves) bring the worst task to {_loss(best.worst)} of its "
            f"variance; {_no_better(best, single)}.",
            f"All weights tried with {fewer} leave it more than {WITHIN:.2f} above that, and equal weights leave "
            f"{equal.worst_task} at {_loss(equal.worst)}.",
            _remedy(cheapest),
        ]
    sure = best.worst - single.lower <= _SAME
    return [
        f"A weighted sum is enough{'' if sure else ' in practice'}, but not equal weights: {_weights(shares, here)} "
        f"bring the worst task to {_loss(best.worst)} of its variance; {_no_better(best, single)}.",
        f"Equal weights leave {equal.worst_task} at {_loss(equal.worst)}.",
    ]


def _no_better(found: Rung, single: Rung) -> str:
    if found.worst - single.lower <= _SAME:
        return "no single model of this width does better"
    if found.worst - single.worst <= _SAME:
        return f"no better single model was found, and none goes below {_loss(single.lower)}"
    if single.exactness == "exact":
        return f"the best single model of this width reaches {_loss(single.worst)}"
    return f"the best single model found reaches {_loss(single.worst)}, and none goes below {_loss(single.lower)}"


def _weights(shares: Shares, here: WidthSolution) -> str:
    if here.best is None or here.written is None or here.worst_written is None or len(shares.tasks) > 4:
        return "the best weights found (in the table)"
    last = 10.0 ** -(here.best.digits or 1)
    spoken = [
        f"{task} {f'{weight:.{here.best.digits}f}' if weight >= last / 2 else 'almost 0'}"
        for task, weight, known in zip(shares.tasks, here.written, shares.predictable, strict=True)
        if known
    ]
    if abs(here.worst_written - float(here.losses_best.max())) <= _SAME:
        return f"weights {_joined(spoken)}"
    return f"weights near {_joined(spoken)} (these themselves give {_loss(here.worst_written)})"


def _open(rungs: dict[str, Rung]) -> list[str]:
    best, single = rungs["best_weights"], rungs["tchebycheff"]
    return [
        "Whether a weighted sum is enough is undetermined.",
        f"The best weights found ({best.solves:,} solves) bring the worst task to {_loss(best.worst)} of its variance, "
        f"the best single model found is at {_loss(single.worst)}; none goes below {_loss(single.lower)}, and whether "
        "one lies between is open.",
    ]


def _notes(
    shares: Shares, here: WidthSolution, status: VerdictStatus, rungs: dict[str, Rung], effect: Effect
) -> list[str]:
    """What a reader must know besides: fragile weights, a task at its own limit, gaps elsewhere on the front."""
    best, equal, single = rungs["best_weights"], rungs["equal_weights"], rungs["tchebycheff"]
    notes = []
    needed = status != "enough" or equal.worst > single.lower + effect.threshold
    told = status == "enough" and best.worst <= single.worst + effect.threshold and best.sensitive
    if needed and not told and best.weight_digits is None:
        notes.append(
            f"No weights with up to {counted(MOST_DIGITS)} digits were found that come within {WITHIN:.2f} of "
            f"{_loss(best.worst)} at width {here.width}."
        )
    elif needed and not told and best.weight_digits is not None and best.weight_digits >= _MANY_DIGITS:
        hit = ": too sensitive to be hit" if best.weight_digits >= SENSITIVE_DIGITS else ""
        notes.append(
            f"To come within {WITHIN:.2f} of {_loss(best.worst)} at width {here.width}, weights must be right to "
            f"{best.weight_digits} digits{hit}."
        )
    if here.excess is not None:
        hardest, excess = shares.tasks[int(shares.unexplained.argmax())], here.excess
        notes.append(
            f"{hardest} cannot be predicted better by a model of its own and sets the worst loss, which says little "
            f"about the other tasks. Measured as excess over each task's own best, {_excess(excess, effect.threshold)}."
        )
        if excess.best > excess.single + effect.threshold:
            notes.append("In that measure a weighted sum is not enough.")
    if status == "enough" and effect.largest_gap >= effect.threshold:
        notes.append(
            f"Of {effect.directions} trade-offs tried, there are single models that no weights reach and that a "
            f"mixture beats in every task at once, by up to {_loss(effect.largest_gap)}."
        )
    return notes


def _excess(excess: Excess, threshold: float) -> str:
    """The worst excess of equal weights, best weights and single model; once where the difference does not matter."""
    values = (excess.equal, excess.best, excess.single)
    if max(values) - min(values) > threshold:
        return (
            f"the worst is {_loss(excess.equal)} for equal weights, {_loss(excess.best)} for the best weights found "
            f"({excess.solves:,} solves) and {_loss(excess.single)} for the best single model found"
        )
    low, high = _loss(min(values)), _loss(max(values))
    size = low if low == high else f"{low} to {high}"
    return f"the worst is {size} for equal weights, for the best weights found and for the best single model found"


def caveat(shares: Shares, width: int) -> str:
    """What no verdict says."""
    return (
        f"This is about linear models with a shared layer of width {width}, fitted to and measured on the same "
        f"{shares.rows:,} rows: not about new rows, and not about a nonlinear network."
    )


def width_summary(verdicts: Sequence[Verdict], smallest_width: int) -> str:
    """The widths at which things get easy, as one story: nothing to trade, good enough, weights that suffice.

    Args:
        verdicts: Of rising widths.
        smallest_width: At which nothing is left to trade.
    """
    widths = [verdict.about.width for verdict in verdicts]
    tried = "" if widths == list(range(1, len(widths) + 1)) else " tried"
    said = [f"Nothing is left to trade from width {smallest_width} on."]
    narrower = [verdict for verdict in verdicts if verdict.about.width < smallest_width]
    near = next(((verdict, rung) for verdict in narrower if (rung := _near(verdict)) is not None), None)
    if near is not None:
        verdict, rung = near
        which = "equal weights bring" if rung.kind == "equal_weights" else "the best weights found bring"
        said.append(
            f"The smallest width{tried} that costs no task more than {verdict.effect.threshold:.2f} of its variance "
            f"against a model of its own is {verdict.about.width}: there {which} every task that close."
        )
    reached = next((verdict for verdict in narrower if verdict.reached), None)
    if reached is None:
        if narrower:
            said.append(f"At no smaller width{tried} can a weighted sum be counted on for the best balance.")
    elif near is not None and reached.about.width == near[0].about.width:
        said.append("It is also the smallest at which a weighted sum is as good as any single model of that width.")
    elif near is None or reached.about.width < near[0].about.width:
        width, rung = reached.about.width, reached.ladder[reached.remedy]
        story = (
            f"The smallest width{tried} at which a weighted sum is as good as any single model of that same width is "
            f"{width}"
        )
        if rung.worst_excess > reached.effect.threshold:
            story += (
                f", but there the layer itself costs accuracy: some task stays {rung.worst_excess:.2f} of its variance "
                "above its own best"
            )
        said.append(f"{story}.")
    return " ".join(said)


def _near(verdict: Verdict) -> Rung | None:
    """Equal or usable best weights that bring every task within the threshold of a model of its own."""
    for rung in verdict.ladder:
        usable = rung.kind in {"equal_weights", "best_weights"} and not rung.sensitive
        if usable and rung.worst_excess <= verdict.effect.threshold:
            return rung
    return None
