"""The widths at which things get easy, as one story."""

from collections.abc import Sequence

from ...core.records.audit import Rung, Verdict

__all__ = ["width_summary"]


def width_summary(verdicts: Sequence[Verdict], smallest_width: int) -> str:
    """The widths at which things get easy, as one story: nothing to trade, good enough, weights that suffice.

    Verdicts are of rising widths; from `smallest_width` on nothing is left to trade.
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
        width, rung = reached.about.width, reached.remedied
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
