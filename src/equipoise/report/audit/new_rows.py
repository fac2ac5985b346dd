"""What a ladder tells beside its searches: of new rows, and by the bound on ranks."""

from ...core.records.audit import Rung, Verdict
from ...core.text import share

__all__ = ["MEASURED", "bound_words", "new_rows_words", "told_words"]

MEASURED = (
    "On new rows: the largest loss above that of separate models on rows that neither was fitted to, with its 95 % "
    "interval over all tasks"
)
"""The column on new rows, in a sentence of the ladder's caption."""

_TOLD = {
    "worse": "on new rows, worse than separate models",
    "better": "on new rows, better than separate models",
    "worse and better": "on new rows, worse than separate models for some tasks and better for others",
    "not told apart": "on new rows, not told apart from separate models",
    "the same": "on new rows, the same as separate models",
}
"""The remedy of a width against separate models, for the first lines of a page."""


def new_rows_words(rung: Rung) -> str:
    """The largest excess of a remedy on new rows, its interval, and what that tells; "" where nothing was measured."""
    found = rung.new_rows
    if found is None:
        return ""
    if rung.kind == "separate":
        return f"largest loss {share(max(found.losses))}"
    if found.told == "the same":
        return "the same"
    low, high = found.interval
    return f"{found.told}: {share(found.largest)} ({share(low)} to {share(high)})"


def told_words(verdict: Verdict) -> str:
    """What is told of a width's remedy on new rows; differences that are told but too small to matter are called so."""
    found = verdict.remedied.new_rows or verdict.ladder[0].new_rows
    if verdict.on_new_rows is None or found is None:
        return ""
    told = [abs(found.differences[i]) for i in (*found.worse, *found.better)]
    small = bool(told) and max(told) < verdict.effect.threshold
    return _TOLD[verdict.on_new_rows] + (", by too little to matter" if small else "")


def bound_words(verdict: Verdict) -> str:
    """The line of the ladder that needs no search; "" where there is none."""
    wider = verdict.width_as_mixture
    if wider is None:
        return ""
    width = verdict.about.width
    if wider == width:
        return f"Known before any search: at width {width}, one model is at least as good at every task as any mixture."
    return (
        f"Known before any search: one model of width {wider} is at least as good at every task as any mixture of "
        f"models of width {width}."
    )
