"""What an exploration says, in sentences: the answer first."""

from collections.abc import Sequence

from ...core.records.explored import ExploredPoint, ExploreRecord
from ...core.text import clean, count, joined, plural
from ..logs.page_parts import number, spanned

__all__ = ["answer", "front_of", "gap_words", "mean_and_spread", "members_of", "sentences", "shown"]

_LEAST = 0.005
_NOTHING = 1e-6


def front_of(record: ExploreRecord) -> list[ExploredPoint]:
    """The non-dominated points, by their first loss."""
    return sorted(
        (p for p in record.points if p.support not in ("dominated", "scattered")), key=lambda point: point.losses
    )


def answer(record: ExploreRecord) -> tuple[str, str, str]:
    """Status, badge and first sentence: whether weights reach the points, what they miss, by how much."""
    front = front_of(record)
    places = {point.losses for point in front}
    by = {kind: [point for point in front if point.support == kind] for kind in ("none", "unsure", "close")}
    if not front:
        words = "Not decided: the seeds of each point lie farther apart than the points do, so no front can be told."
        return "undetermined", "Seeds cannot tell", words
    if len(places) == 1:
        torn = [p.name for p in record.points if p.support == "scattered" and _lower_somewhere(p, front[0])]
        if torn:
            words = f"Not decided: {front[0].name} is the best in every loss among the points whose seeds agree, but "
            words += f"runs of {joined(torn)}, whose seeds ended at different places, are lower in some loss."
            return "undetermined", "Seeds cannot tell", words
        return "nothing_to_trade", "Nothing to trade", "One point is the best in every loss: there is nothing to trade."
    whole = plural(len(front), "non-dominated point")
    if by["none"]:
        worst = max(by["none"], key=lambda point: point.gap)
        unsure = f"; for {count(len(by['unsure']))} more the seeds cannot tell" if by["unsure"] else ""
        missed = count(len(by["none"]))
        return (
            "not_enough",
            f"{missed} beyond weights",
            f"No: weighted sums select {_all_but(len(front), len(by['none']) + len(by['unsure']))} of the {whole} "
            f"found here and miss {missed if unsure else f'the other {missed}'}, by up to {worst.gap:.3f} of the "
            f"ranges{unsure}.",
        )
    if by["unsure"]:
        worst = max(by["unsure"], key=lambda point: point.gap)
        return (
            "undetermined",
            "Seeds cannot tell",
            f"Not decided: weighted sums select {_all_but(len(front), len(by['unsure']))} of the {whole} found here; "
            f"for {count(len(by['unsure']))} the seeds cannot tell, the largest gap being {worst.gap:.3f} of the "
            "ranges.",
        )
    close = (
        f", {count(len(by['close']))} of them within 1 % of the ranges of one that they select exactly"
        if by["close"]
        else ""
    )
    return "enough", "Weights select all", f"Yes: some weighted sum selects each of the {whole} found here{close}."


def _lower_somewhere(point: ExploredPoint, best: ExploredPoint) -> bool:
    """Whether a run of a point is lower in some loss than the best point's mean."""
    done = [run.losses for run in point.runs if run.losses is not None]
    return any(loss < low for losses in done for loss, low in zip(losses, best.losses, strict=True))


def _all_but(whole: int, part: int) -> str:
    return count(whole - part) if whole > part else "none"


def gap_words(point: ExploredPoint) -> str:
    """A gap with its interval."""
    between = f" (5 to 95 % over seeds: {spanned(*point.interval, 3)})" if point.interval is not None else ""
    return f"{point.gap:.3f} of the ranges{between}"


def _at(record: ExploreRecord, point: ExploredPoint) -> str:
    return ", ".join(
        f"{clean(task.name)} {shown(loss, unit)}"
        for task, loss, unit in zip(record.tasks[:4], point.losses, record.units, strict=False)
    )


def sentences(record: ExploreRecord) -> list[str]:
    """What follows the answer."""
    said = []
    front = front_of(record)
    worst = max((p for p in front if p.support in ("none", "unsure")), key=lambda point: point.gap, default=None)
    if worst is not None:
        members = joined(members_of(worst.mixture))
        said.append(
            f"The largest gap is at {worst.name} ({_at(record, worst)}): {gap_words(worst)}. A mixture of other points "
            f"({members}; a model drawn for each request) is lower in every loss by that much, in expectation, so "
            "every weighted sum prefers one of its members."
        )
        stretch = _stretch(record, front)
        said += [stretch] if stretch else []
    if record.volumes is not None:
        sums, picked = (f"{100 * share:.1f} %" for share in record.volumes)
        said.append(
            f"The trained weighted sums have {sums} of the hypervolume of all points; the points that weights select, "
            f"closely, or for all that the seeds can tell, have {picked} (mean losses on "
            f"{record.judged_on.partition(':')[0]}, below a reference a tenth of the ranges above the front's highest "
            "losses)."
        )
    corner = _corner(record, front)
    said += [corner] if corner else []
    if len(record.seeds) == 1:
        said.append(
            "All of this is from one seed: a gap of the size of the noise between seeds means nothing, and that noise "
            "was not measured."
        )
    return said


def _corner(record: ExploreRecord, front: Sequence[ExploredPoint]) -> str:
    """The point that loses least against models of one task each."""
    alone = [single.loss for single in record.singles]
    known = [loss for loss in alone if loss is not None and loss > 0]
    if len(known) < len(alone) or record.true_front or not front:
        return ""
    rises = {point.name: max(loss / own - 1 for loss, own in zip(point.losses, known, strict=True)) for point in front}
    name = min(rises, key=lambda key: rises[key])
    if rises[name] <= 0:
        return f"At {name} every loss is at or below that of a model trained for its task alone."
    rise = 100 * rises[name]
    above = f"{rise:,.0f}" if rise >= 10 else f"{rise:.2g}"
    return f"At {name} no loss is more than {above} % above that of a model trained for its task alone."


def _stretch(record: ExploreRecord, front: Sequence[ExploredPoint]) -> str:
    """For two tasks: between which selected neighbours the points lie that no weights select."""
    if len(record.tasks) != 2:
        return ""
    widest, inside, before = (0, front[0], front[0]), 0, None
    for point in front:
        if point.support in ("weights", "close"):
            if before is not None and inside > widest[0]:
                widest = inside, before, point
            before, inside = point, 0
        elif before is not None:
            inside += 1
    if not widest[0]:
        return ""
    found, left, right = widest
    return (
        f"Between {left.name} ({_at(record, left)}) and {right.name} ({_at(record, right)}) weighted sums select "
        f"nothing; {plural(found, 'point')} found there {'lies' if found == 1 else 'lie'} above the chord."
    )


def members_of(mixture: Sequence[tuple[str, float]]) -> list[str]:
    """Members of a mixture with their shares; below half a percent they are not shown.

    Example:
        >>> members_of([("S1", 0.7), ("S2", 0.299), ("S3", 0.001)])
        ['70 % S1', '30 % S2']
    """
    return [f"{100 * share:.0f} % {clean(name)}" for name, share in mixture if share >= _LEAST]


def shown(value: float, unit: float) -> str:
    """A loss; what is below a millionth of the front's range counts as 0.

    Example:
        >>> shown(3e-17, 1.0), shown(0.25, 1.0)
        ('0', '0.25')
    """
    return "0" if abs(value) < _NOTHING * unit else number(value)


def mean_and_spread(values: Sequence[float], unit: float = 0.0) -> str:
    """A mean with the range over seeds; see `shown`.

    Example:
        >>> mean_and_spread([1.0, 2.0]), mean_and_spread([0.5])
        ('1.5 (1 to 2)', '0.5')
    """
    mean = shown(sum(values) / len(values), unit)
    low, high = shown(min(values), unit), shown(max(values), unit)
    return mean if low == high else f"{mean} ({low} to {high})"
