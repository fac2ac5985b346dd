"""Sentences made from a record's numbers: captions, the test in words, the summary over widths."""

import itertools
from collections.abc import Sequence

from ...core.drawing.palette import mark_of
from ...core.records.audit import AuditRecord, Bootstrap, Condition, FrontPoint, Rung, Verdict
from ...core.text import clean, count, joined, percent, plural, share, signed
from .new_rows import told_words

__all__ = [
    "MEASURES",
    "STATUS_WORDS",
    "about_widths",
    "badge",
    "bootstrap_words",
    "complete_words",
    "condition_words",
    "effect_words",
    "front_caption",
    "how_known",
    "overall",
    "takes",
    "width_words",
]

STATUS_WORDS = {
    "enough": "Enough",
    "not_enough": "Not enough",
    "nothing_to_trade": "Nothing to trade",
    "undetermined": "Undetermined",
}

MEASURES = {
    "excess": {
        "name": "largest excess",
        "decides": "Largest excess",
        "beside": "Largest loss",
        "short": "loss",
        "caption": "Largest excess over a task's own best: its loss above that of a model of its own, in shares of its "
        "variance. The largest loss itself stands beside (0 is perfect, 1 is predicting the mean)",
        "bold": "the one with the largest excess over its own best is bold",
        "at": "Largest excess of a task over its own best at each shared width, in shares of its variance",
    },
    "loss": {
        "name": "worst task",
        "decides": "Worst task",
        "beside": "Above its own best",
        "short": "excess",
        "caption": "Loss of the worst task, in shares of its variance (0 is perfect, 1 is predicting the mean)",
        "bold": "the worst of each row is bold",
        "at": "Loss of the worst task at each shared width, in shares of its variance",
    },
}
"""What a verdict is decided on, in the words of its tables."""

_SAME = 5e-4
"""Losses closer than this are the same to three digits."""

_OVERALL = {
    "enough": "a weighted sum is enough",
    "not_enough": "a weighted sum is not enough",
    "nothing_to_trade": "nothing is left to trade",
    "undetermined": "undetermined",
}


_IN_THEORY = "a weighted sum is enough in theory only"


def badge(verdict: Verdict) -> str:
    """The verdict in a word or two."""
    if verdict.status == "enough" and not verdict.reached:
        return "Enough in theory only"
    if verdict.status == "enough" and verdict.measure == "excess" and _narrow(verdict):
        return "Enough for this width"
    return STATUS_WORDS[verdict.status]


def _narrow(verdict: Verdict) -> bool:
    """Whether the layer itself costs some task more than the threshold, whatever is done at this width."""
    return any(rung.kind == "tchebycheff" and rung.lower > verdict.effect.threshold for rung in verdict.ladder)


def width_words(width: int) -> str:
    """What a shared width is, for the first screen."""
    if width == 1:
        return "that is one number computed from the inputs, which all tasks read"
    return f"that is {count(width)} numbers computed from the inputs, which all tasks read"


def overall(record: AuditRecord) -> list[str]:
    """All widths' verdicts, a sentence each; neighbouring widths of one verdict share theirs."""
    parts = []
    for said, group in itertools.groupby(record.verdicts, key=_said):
        widths = [verdict.about.width for verdict in group]
        where = f"Width {widths[0]}" if len(widths) == 1 else f"Widths {widths[0]} to {widths[-1]}"
        parts.append(f"{where}: {said}.")
    return parts


def _said(verdict: Verdict) -> str:
    said = _IN_THEORY if verdict.status == "enough" and not verdict.reached else _OVERALL[verdict.status]
    return f"{told_words(verdict)}; in-sample, {said}" if verdict.on_new_rows else said


def about_widths(record: AuditRecord) -> tuple[str, str]:
    """Of which models the verdicts at several widths speak, and what none of them says."""
    first, last = record.verdicts[0].about, record.verdicts[-1].about
    wider = f", and the same up to width {last.width}" if last.width != first.width else ""
    rows = plural(first.rows, "row")
    how = f"fitted to and measured on the same {rows}"
    if first.split == "in-sample, incomplete rows":
        how = f"each task's own model fitted to the rows that have its target, and compared over all {rows}"
    fitted = f" {how}: not about new rows, and" if first.split != "held-out" else ","
    if record.verdicts[0].on_new_rows:
        fitted = f" {how} except where new rows are named:"
    unsaid = f"This is about linear models{fitted} not about a nonlinear network."
    return f"{clean(first.model)}, {width_words(first.width)}{wider}; {rows}, {first.split}", unsaid


def how_known(verdict: Verdict, rung: Rung) -> str:
    """Whether the number that decides is exact, a bracket, or found by search, and how hard the search was."""
    value, said = share(verdict.deciding(rung)), plural(rung.solves or 0, "solve")
    solves = f" in {said}" if rung.solves and said not in rung.words else ""
    if rung.exactness == "exact":
        return "exact"
    if rung.exactness == "bracket":
        return f"between {share(rung.lower)} and {value}{solves}"
    if share(rung.lower) == value:
        return f"best found{solves}; at most 0.001 above the least possible"
    return f"best found{solves}; cannot be below {share(rung.lower)}"


def complete_words(verdict: Verdict) -> str:
    """The same width on complete rows alone; "" where that was not computed."""
    found = verdict.on_complete_rows
    if found is None:
        return ""
    status = _OVERALL[found.status]
    return (
        f"On the {plural(found.rows, 'row')} with every target alone: {status}; largest excess with equal weights "
        f"{share(found.equal)}, best weights found {share(found.best)}, one model {share(found.single)}, mixture "
        f"{share(found.mixture)}."
    )


def takes(rung: Rung) -> str:
    """What a remedy costs."""
    parts = [plural(rung.models, "model"), f"width {rung.width}"]
    if rung.weight_digits:
        parts.append(f"weights right to {plural(rung.weight_digits, 'digit')}")
    return ", ".join(parts)


def effect_words(verdict: Verdict) -> list[str]:
    """How much is at stake, one sentence each."""
    effect, sentences = verdict.effect, []
    if verdict.status == "nothing_to_trade":
        return ["One model is best at every task at once, so no gap can exist."]
    known = {
        "exact": "exact",
        "bracket": "the end of a bracket",
        "found by search": "against the best weights that a search found",
    }
    name = MEASURES[verdict.measure]["name"]
    sentences.append(
        f"At the balanced point, the best weighted sum's {name} stays "
        f"{share(effect.balanced_gap)} of variance above the best single model's ({known[effect.exactness]})."
    )
    if effect.mixture_gap < _SAME:
        sentences.append(f"A mixture of models does not lower the {name} further.")
    else:
        gain = share(effect.mixture_gap)
        sentences.append(f"A mixture of models lowers the {name} by a further {gain} of variance.")
    if effect.directions:
        sentences.append(
            f"Of {plural(effect.directions, 'balanced model')} tried, the one that a mixture beats by most loses to it "
            f"by {share(effect.largest_gap)} of variance in every task at once; models not tried may lose more."
            if effect.largest_gap >= _SAME
            else f"None of {plural(effect.directions, 'balanced model')} tried is beaten by a mixture in every task at "
            "once."
        )
    sentences.append(f"Differences below {share(effect.threshold)} of variance are called too small to matter.")
    return sentences


def condition_words(condition: Condition) -> list[str]:
    """The theorem's test in words, one sentence each."""
    sentences = {
        "holds": ["The test passes: every best trade-off is reached by some weights."],
        "fails": [
            "The test fails: some of the best trade-offs are reached by no weights."
            if condition.necessary
            else "The test fails, which proves nothing by itself here: it is sufficient, not necessary, where some "
            "tasks are combinations of others."
        ],
        "open": ["No theorem decides this width: theory has no answer, and the verdict rests on the computed gaps."],
        "single point": ["One model is best at every task at once; there is nothing to test."],
        "undetermined": ["The test could not be decided in floating-point numbers."],
    }[condition.status]
    if condition.status == "fails":
        sentences = [*sentences, f"Margin of the conflict: {share(condition.margin)} (0 is none, 1 the largest)."]
    if condition.note:
        note = clean(condition.note)
        sentences = [*sentences, f"{note[:1].upper()}{note[1:].removesuffix('.')}."]
    return sentences


def bootstrap_words(bootstrap: Bootstrap) -> list[str]:
    """How the verdict varies over rows, one sentence each."""
    total = bootstrap.resamples
    statuses = "; ".join(
        f"{_OVERALL[name]} in {percent(number, total)}"
        for name, number in sorted(bootstrap.statuses.items(), key=lambda item: (-item[1], item[0]))
        if name in _OVERALL
    )
    low, middle, high = bootstrap.balanced_gap
    return [
        f"Over {plural(total, 'resample')} of the rows: {statuses}.",
        f"The gap at the balanced point is {share(middle)} of variance in the median resample, "
        f"{share(low)} to {share(high)} in nine of ten.",
    ]


def front_caption(verdict: Verdict, tasks: Sequence[str]) -> str:
    """What the picture says, in words, from its numbers; empty where there is no picture."""
    if not verdict.front:
        return ""
    names = [clean(name) for name in tasks]
    if verdict.status == "nothing_to_trade":
        return "The best single model sits on the corner of the separate models: nothing is given up for it."
    sentences = [
        _exchange(verdict, names),
        _out_of_reach(verdict),
        _coinciding(verdict),
        _separate(verdict),
        _magnified(verdict),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _of_kind(verdict: Verdict, kind: str) -> FrontPoint | None:
    return next((point for point in verdict.front if point.kind == kind), None)


def _exchange(verdict: Verdict, names: Sequence[str]) -> str:
    """From the model that favours one task, what the balanced model gains and pays."""
    balanced = _of_kind(verdict, "tchebycheff") or _of_kind(verdict, "best weights")
    start = _of_kind(verdict, "equal weights")
    if balanced is None or start is None:
        return ""
    changes = [after - before for before, after in zip(start.losses, balanced.losses, strict=True)]
    gained = min(range(len(changes)), key=changes.__getitem__)
    if -changes[gained] < verdict.effect.threshold:
        return "Equal weights already give the balanced model, within what matters."
    paid = [i for i in range(len(changes)) if changes[i] >= _SAME]
    sentence = (
        f"From equal weights, to get {names[gained]} from {share(start.losses[gained])} down to "
        f"{share(balanced.losses[gained])}"
    )
    if not paid:
        return f"{sentence} costs no other task anything."
    worst = sorted(paid, key=lambda i: -changes[i])[:2]
    return f"{sentence} you pay {joined([f'{signed(changes[i], 3)} on {names[i]}' for i in worst])}."


def _out_of_reach(verdict: Verdict) -> str:
    rungs = {rung.kind: rung for rung in verdict.ladder}
    hidden = sum(1 for point in verdict.front if mark_of(point).name == "hidden")
    drawn = sum(1 for point in verdict.front if point.kind == "one model")
    best, single = rungs.get("best_weights"), rungs.get("tchebycheff")
    parts = []
    if best and single and verdict.deciding(best) - verdict.deciding(single) > verdict.effect.threshold:
        tried = f" in {count(best.solves)} solves" if best.solves else ""
        above = " above its own best" if verdict.measure == "excess" else ""
        parts.append(
            f"The best weights found{tried} leave the worst task at {share(verdict.deciding(best))}{above}; one model "
            f"brings every task to {share(verdict.deciding(single))} or below."
        )
    if hidden:
        parts.append(f"Of the {count(drawn)} balanced models drawn, {count(hidden)} are reached by no weights.")
    return " ".join(parts)


def _coinciding(verdict: Verdict) -> str:
    """Marks that lie on each other, so that a reader does not look for the hidden ones."""
    words = {
        "equal weights": "equal weights",
        "best weights": "the best weights found",
        "tchebycheff": "the best balanced model",
        "mixture": "the best mixture",
    }
    groups: list[list[FrontPoint]] = []
    for kind in words:
        point = _of_kind(verdict, kind)
        if point is None:
            continue
        home = next((group for group in groups if _spread([group[0], point]) < 0.001), None)
        if home is None:
            groups.append([point])
        else:
            home.append(point)
    told = [joined([words[point.kind] for point in group]) for group in groups if len(group) > 1]
    return " ".join(f"{names[:1].upper()}{names[1:]} give the same losses to three digits." for names in told)


def _magnified(verdict: Verdict) -> str:
    shown = [point for point in verdict.front if point.kind != "any model"]
    if _spread(shown) >= verdict.effect.threshold:
        return ""
    return (
        f"The picture is magnified: all differences in it are below {share(verdict.effect.threshold, 2)} of "
        "variance, too small to matter."
    )


def _spread(points: Sequence[FrontPoint]) -> float:
    """Largest difference between the points in any one task."""
    columns = list(zip(*(point.losses for point in points), strict=True))
    return max((max(column) - min(column) for column in columns), default=0.0)


def _separate(verdict: Verdict) -> str:
    separate = next((rung for rung in verdict.ladder if rung.kind == "separate"), None)
    if separate is None:
        return ""
    return f"Separate models would leave the worst task at {share(separate.worst)}."
