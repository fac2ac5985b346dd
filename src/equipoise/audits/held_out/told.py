"""Verdicts about new rows: the measured numbers put beside each remedy, and what they say put first."""

from collections.abc import Sequence

from ...core.records.audit import Rung, Verdict
from ...core.records.new_rows import NewRows, OnNewRows
from ...core.text import joined, share
from ..widths.optima import Shares
from ..widths.verdict_text import caveat, counted
from .cross_validation import Key, Measured

__all__ = ["with_new_rows", "without_new_rows"]

_FEW = 3
_RISKY = (0.5, 0.8)


def with_new_rows(verdict: Verdict, shares: Shares, measured: Measured) -> Verdict:
    """The verdict with its remedies on new rows; its first sentence is about these."""
    ladder = tuple(rung.model_copy(update={"new_rows": measured.rungs.get(_key(rung))}) for rung in verdict.ladder)
    told = verdict.model_copy(update={"ladder": ladder})
    rung = told.remedied
    if rung.new_rows is None:  # a remedy that needs a search, where none was measured
        rung = ladder[0]
    assert rung.new_rows is not None
    about, tasks = measured.about, shares.tasks
    headline = f"On new rows, {_compared(rung, rung.new_rows, tasks, told.effect.threshold)}"
    said = [headline, *_equal_beside(ladder[0], rung), _alone(about, tasks), *_disagreement(told, rung)]
    return told.model_copy(
        update={
            "headline": headline,
            "words": " ".join([*said, f"On the rows it was fitted to: {verdict.words}"]),
            "caveat": _unsaid(told, shares, about),
            "on_new_rows": rung.new_rows.told,
        }
    )


def without_new_rows(verdict: Verdict, reason: str) -> Verdict:
    """The verdict with a sentence on why nothing is said of new rows."""
    return verdict.model_copy(update={"caveat": f"{verdict.caveat} {reason}"})


def _key(rung: Rung) -> Key:
    if rung.kind == "separate":
        return "separate", 1
    if rung.kind == "wider":
        return ("equal_weights" if rung.solves is None else "best_weights"), rung.width
    return rung.kind, rung.width


def _called(rung: Rung) -> str:
    how = {
        "equal_weights": "with equal weights",
        "best_weights": "with the best weights found",
        "tchebycheff": "by one model trained on its largest excess",
        "mixture": "by a mixture of models",
    }[_key(rung)[0]]
    return f"sharing a layer of width {rung.width} {how}"


def _names(places: Sequence[int], tasks: Sequence[str]) -> str:
    if len(places) == len(tasks):
        return "every task"
    named = [tasks[i] for i in places]
    return joined(named) if len(named) <= _FEW else f"{counted(len(named))} of {counted(len(tasks))} tasks"


def _range(found: OnNewRows) -> str:
    low, high = found.interval
    return f"{share(found.largest)} of variance (95 % interval {share(low)} to {share(high)})"


def _compared(rung: Rung, found: OnNewRows, tasks: Sequence[str], threshold: float) -> str:
    """The remedy against separate models; a verdict only where 0 is outside a task's interval."""
    called = _called(rung)
    if found.told == "the same":
        return f"{called} is the same as separate models: nothing is lost and nothing gained."
    if found.told == "not told apart":
        return f"{called} is not told apart from separate models: the largest excess is {_range(found)}."
    parts = [
        f"{word} than separate models for {_names(places, tasks)}"
        for word, places in (("worse", found.worse), ("better", found.better))
        if places
    ]
    largest = max(abs(found.differences[i]) for i in (*found.worse, *found.better))
    small = f", by less than {share(threshold, 2)}, too little to matter" if largest < threshold else ""
    return f"{called} is {joined(parts)}{small}: the largest excess is {_range(found)}."


def _equal_beside(equal: Rung, rung: Rung) -> list[str]:
    if equal.new_rows is None or _key(equal) == _key(rung) or equal.new_rows.told == "the same":
        return []
    return [f"With equal weights at width {equal.width} it is {_range(equal.new_rows)}."]


def _alone(about: NewRows, tasks: Sequence[str]) -> str:
    worst = max(range(len(tasks)), key=about.separate.__getitem__)
    return f"Separate models leave at most {share(about.separate[worst])} of a task's variance there ({tasks[worst]})."


def _disagreement(verdict: Verdict, rung: Rung) -> list[str]:
    """Where the rows that models were fitted to and new rows say different things."""
    found, equal, threshold = rung.new_rows, verdict.ladder[0], verdict.effect.threshold
    assert found is not None
    said = []
    if found.worse and found.largest > threshold >= rung.worst_excess:
        said.append(
            f"there its largest excess is {share(rung.worst_excess)}, too small to matter; on new rows it is "
            f"{share(found.largest)}"
        )
    elif not found.worse and rung.worst_excess > threshold and found.told != "the same":
        said.append(
            f"there its largest excess is {share(rung.worst_excess)}; on new rows no task is told to lose against "
            "separate models"
        )
    if verdict.remedy is not None and _key(rung) != _key(equal) and equal.new_rows is not None:
        before, after = equal.new_rows.largest, found.largest
        if after >= before:
            said.append(
                f"there the remedy lowers the largest excess of equal weights from {share(equal.worst_excess)} to "
                f"{share(rung.worst_excess)}; on new rows it does not ({share(before)} to {share(after)})"
            )
    return [f"New rows and the rows that the model was fitted to disagree: {'; '.join(said)}."] if said else []


def _unsaid(verdict: Verdict, shares: Shares, about: NewRows) -> str:
    """What the verdict does not say, with how losses on new rows were found and where the intervals fail."""
    low, high = about.penalties
    chosen = f"{low:.2g}" if low == high else f"{low:.2g} to {high:.2g}"
    said = [
        caveat(shares, verdict.about.width, new_rows=True),
        f"New rows: {about.folds}-fold cross-validation over {about.partition}, everything fitted on the training "
        f"part, with ridge shrinkage chosen by cross-validation inside it (penalty {chosen} for standardised inputs); "
        f"intervals by a jackknife over {about.blocks} blocks, for all tasks of a remedy at once.",
    ]
    if about.ends:
        said.append(
            f"In {about.ends} of {about.folds} folds the penalty chosen is the least or largest of those tried."
        )
    if not about.searched:
        said.append("Remedies that need a search were not measured on new rows: there are too many tasks for that.")
    if verdict.about.width < shares.rank:
        ratio = shares.next_ratio(verdict.about.width)
        low_end, high_end = _RISKY
        said.append(
            "Where a layer is narrower than the tasks' rank and the first eigenvalue that it leaves out is "
            f"{low_end} to {high_end} of the last that it keeps, an interval from a task's own variation held its true "
            "difference in as few as 58 % of simulated tables instead of 95 %. No task's interval is therefore shorter "
            "than the median task's, which in the worst setting simulated held it in 51 of 60 tables; here the ratio "
            f"is {ratio:.2f}"
            + (", inside that range." if low_end <= ratio <= high_end else ", and the observed one is a weak warning.")
        )
    return " ".join(said)
