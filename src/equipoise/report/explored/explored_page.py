"""The record of an exploration as a plain dict: sections of sentences, tables and pictures."""

from collections.abc import Sequence

from ...core.drawing.plot_parts import Panel, legend_of
from ...core.records.explored import ChosenPoint, ConditionedCurve, ExploredPoint, ExploreRecord
from ...core.text import clean, count, joined, plural
from ..logs.page_parts import Page, make_section, make_table, number, spanned
from .figures import MARKS, front_panels, slider_of
from .parallel_axes import parallel_legend, parallel_of
from .words import answer, front_of, mean_and_spread, members_of, sentences, shown

__all__ = ["explored_page"]

_FOLLOWS = 0.5  # least rank correlation of a task that follows its share
_CAVEAT = (
    "Whether weights select a point is judged among the points of this page: a run that was never made may change it. "
    "Points hold for these networks, this budget and this many rows; refinement, verdict and choice used the "
    "validation part, which flatters what it chose. A mixture answers each request by a model drawn at random; its "
    "losses are expectations. Nothing here ranks methods."
)
_FORMULA_CAVEAT = (
    "Whether weights select a point is judged among the points of this page: a run that was never made may change it. "
    "A point is where a descent ended, which may be a local optimum."
)


def explored_page(record: ExploreRecord) -> Page:
    """Everything that a report of an exploration shows."""
    status, badge, headline = answer(record)
    said = sentences(record)
    front = front_of(record)
    seeds = plural(len(record.seeds), "seed")
    panels = front_panels(record)
    return {
        "title": clean(record.title),
        "kicker": "equipoise explore",
        "status": status,
        "badge": badge,
        "headline": headline,
        "lead": said[0] if said else "",
        "notes": [*said[1:], *_doubts(record)],
        "sections": [
            _picture(record, panels),
            *_slider(record, panels),
            _choices(record),
            _points(record),
            _alone(record, front),
            _sweeps(record),
        ],
        "caveat": _CAVEAT if record.data is not None or record.rows[0] is not None else _FORMULA_CAVEAT,
        "settings": [
            ("problem", clean(record.problem)),
            ("judged on", _judged_on(record)),
            ("trainings", f"{plural(len(record.points) + len(record.singles), 'preference')} with {seeds}, "
             f"{count(record.failed)} failed; each {clean(record.budget)}"),
            ("time", f"{sum(run.seconds for run in record.trained):,.0f} s in all "
             f"trainings ({record.device})"),
            ("resamples", f"{record.resamples} of the seeds" if record.resamples else "none: one seed"),
            *([("data", f"{clean(record.data.name)}: {clean(record.data.source)}")] if record.data else []),
            *([("preparation", " ".join(map(clean, record.data.steps)))] if record.data and record.data.steps else []),
            *([("split", clean(record.split.how))] if record.split else []),
            *([("SHA-256 of the data", record.sha256)] if record.sha256 else []),
        ],
        "command": clean(record.command) or "eq.explore(...)",
        "versions": sorted(record.versions.items()),
    }  # fmt: skip


def _judged_on(record: ExploreRecord) -> str:
    rows = "" if record.rows[0] is None else f" ({plural(record.rows[0], 'row')} a seed)"
    return f"{record.judged_on}{rows}"


def _doubts(record: ExploreRecord) -> list[str]:
    found = [f"Doubt: {clean(warning)}" for warning in record.data.warnings] if record.data else []
    done = [run.losses for run in record.trained if run.losses is not None]
    for place, task in enumerate(record.tasks):
        if len(done) > 1 and len({losses[place] for losses in done}) == 1:
            found.append(
                f"Doubt: the loss of {clean(task.name)} is {number(done[0][place])} after every training, so nothing "
                "can be traded with it. Check that it is computed from the outputs of the model."
            )
    apart = [point.name for point in record.points if point.support == "scattered"]
    if apart:
        found.append(
            f"Doubt: with the preferences of {joined(apart)} the seeds ended at different places: one is lower in a "
            "loss and another in another loss, by more than a third of the ranges. Their means are no points, and are "
            "left out of the front, the verdict and the choice."
        )
    if record.failed:
        reasons = {clean(run.words) for run in record.trained if run.status != "done"}
        found.append(
            f"{plural(record.failed, 'training')} failed, so means are over different seeds and each point's seeds "
            f"were resampled by themselves: {'; '.join(sorted(reasons)[:3])}"
        )
    return found


def _picture(record: ExploreRecord, panels: Sequence[Panel]) -> Page:
    seeds = len(record.seeds)
    spread = (
        "One seed: no band can be drawn."
        if seeds == 1
        else f"The band lies between what one and what all of the {seeds} seeds attain, each seed's front by itself."
        if len(record.tasks) == 2
        else f"Bars are ranges over {seeds} seeds."
    )
    units = _units(record)
    where = f"Losses on {_judged_on(record)}. Means over {plural(seeds, 'seed')}; lower is better."
    if not panels:
        return make_section(
            "The front",
            "Each line is a point across one axis a task, lowest loss at the bottom. Drag along an axis to keep the "
            "points in a range; click it to let go. Hover a line for preference, losses, metrics and checkpoint.",
            widget="parallel.html", parallel=parallel_of(record), legend=parallel_legend(record),
            caption=f"{where} Axes reach from the lowest to the highest of these losses; what lies beyond is drawn at "
            f"the end. {units}",
        )  # fmt: skip
    legend = {entry["words"]: entry for panel in panels for entry in legend_of(panel)}
    return make_section(
        "The front", panels=list(panels), legend=list(legend.values()),
        caption=f"{where} {spread} Hover for preference, losses, metrics and checkpoint. {units}",
    )  # fmt: skip


def _units(record: ExploreRecord) -> str:
    """What the losses are, one sentence for all tasks that share it."""
    shared: dict[str, list[str]] = {}
    for task in record.tasks:
        if task.loss:
            shared.setdefault(clean(task.loss), []).append(clean(task.name))
    return " ".join(f"{joined(names)}: {words}." for words, names in shared.items())


def _slider(record: ExploreRecord, panels: Sequence[Panel]) -> list[Page]:
    curve = record.conditioned
    if curve is None:
        return []
    volume = (
        ""
        if curve.volume is None
        else f" It has {100 * curve.volume:.1f} % of the hypervolume of the runs of its seed."
    )
    followed = [
        f"{clean(task.name)} {'n/a' if value is None else f'{value:.2f}'}"
        for task, value in zip(record.tasks, curve.controllability, strict=True)
    ]
    size = "" if curve.parameters is None else (
        f" It has {count(curve.parameters[0])} parameters, {count(curve.parameters[1])} without the conditioning."
    )  # fmt: skip
    words = (
        f"{clean(curve.words)}, seed {curve.seed}.{volume}{size} Of {count(len(curve.losses))} preferences measured "
        f"{100 * curve.dominated:.0f} % are dominated by another one; rank correlation of share and lower loss: "
        f"{', '.join(followed)} (1: more share always lowers that loss).{_unfollowed(record, curve)}"
    )
    return [
        make_section("One model for all preferences", words[0].upper() + words[1:], widget="slider.html",
                     slider=slider_of(record, panels))
    ]  # fmt: skip


def _unfollowed(record: ExploreRecord, curve: ConditionedCurve) -> str:
    """A doubt where more share of a task does not lower its loss."""
    against = [
        clean(task.name)
        for task, value in zip(record.tasks, curve.controllability, strict=True)
        if value is not None and value < _FOLLOWS
    ]
    if not against:
        return ""
    return (
        f" Doubt: more share of {joined(against)} does not lower the loss on these rows. The model may fit its "
        "training rows more closely than helps on others: choose by the losses of the slider, not by the share; or "
        "give fewer steps, smaller layers, or more rows."
    )


def _choices(record: ExploreRecord) -> Page:
    names = [clean(task.name) for task in record.tasks]
    rows, notes = [], []
    for choice in record.chosen:
        rows.append(
            [
                f"{clean(choice.wish)}: {choice.point}",
                *map(shown, choice.losses, record.units),
                *_tested(record, choice),
            ]
        )
        members = members_of(choice.members)
        if len(members) > 1:
            mixed = joined(members)
            tests = ["" for _ in names] if record.rows[1] is not None else []
            rows.append([f"the best mixture for it: {mixed}", *map(shown, choice.mixture_losses, record.units), *tests])
        if choice.status != "ok":
            note = f"{clean(choice.wish)}: {clean(choice.status)}.".replace("..", ".")
            notes.append(note[0].upper() + note[1:])
    tested = record.rows[1] is not None
    head = ["Chosen", *names, *([f"{name}, test" for name in names] if tested else [])]
    caption = f"Means over {plural(len(record.seeds), 'seed')} on {record.judged_on}" + (
        f"; on the test part ({plural(record.rows[1] or 0, 'row')} a seed) means and ranges over seeds. Test losses "
        "are shown for these points only, and chose nothing."
        if tested
        else ". There is no test part."
    )
    return make_section("The chosen points", *notes, tables=[make_table(caption, head, rows)])


def _tested(record: ExploreRecord, choice: ChosenPoint) -> list[str]:
    if record.rows[1] is None:
        return []
    if not choice.test:
        return ["n/a"] * len(record.tasks)
    return [_whole(mean_and_spread([losses[i] for losses in choice.test.values()])) for i in range(len(record.tasks))]


def _points(record: ExploreRecord) -> Page:
    names = [clean(task.name) for task in record.tasks]
    seeded = bool(record.resamples)
    order = sorted(record.points, key=lambda point: (point.support in ("dominated", "scattered"), point.losses))
    rows = [
        [
            point.name, "sum" if point.kind == "sum" else "Tchebycheff",
            "\u00a0: ".join(f"{w:.3g}" for w in point.weights),
            *_losses(point, record.units), MARKS[point.support][0], "0" if point.gap == 0 else f"{point.gap:.3f}",
            *([spanned(*point.interval, 3) if point.interval and point.gap else ""] if seeded else []),
            _selecting(point),
        ]
        for point in order
    ]  # fmt: skip
    between = ["Gap, 5\u00a0to\u00a095\u00a0%"] if seeded else []
    head = [
        "Point", "Trained as", "Weights", *names, "By weights", "Gap", *between, "Selected by weights",
    ]  # fmt: skip
    rough = " With fewer than ten seeds intervals are rough." if seeded and len(record.seeds) < 10 else ""
    caption = (
        f"Losses on {record.judged_on}. Means, with ranges over seeds. Gap: the amount by which a mixture of other "
        "points is lower in every loss, in ranges of the front; exact for these means. Selected by weights: for each "
        "loss the smallest and the largest weight with which a weighted sum is lowest at this point, among these "
        f"points.{rough}"
    )
    return make_section("All points", tables=[make_table(caption, head, rows)])


def _losses(point: ExploredPoint, units: Sequence[float]) -> list[str]:
    done = [run.losses for run in point.runs if run.losses is not None]
    return [_whole(mean_and_spread([losses[i] for losses in done], unit)) for i, unit in enumerate(units)]


def _whole(words: str) -> str:
    """The same words; an interval in them is not broken over two lines."""
    return words.replace(" to ", "\u00a0to\u00a0")


def _selecting(point: ExploredPoint) -> str:
    if point.low is None or point.high is None:
        return "none"
    return ", ".join(_whole(spanned(low, high)) for low, high in zip(point.low, point.high, strict=True))


def _alone(record: ExploreRecord, front: Sequence[ExploredPoint]) -> Page:
    rows = []
    for place, single in enumerate(record.singles):
        best = min(front or record.points, key=lambda point: point.losses[place])
        done = [run.losses[place] for run in single.runs if run.losses is not None]
        rows.append([
            clean(single.task), mean_and_spread(done, record.units[place]) if done else "n/a",
            f"{shown(best.losses[place], record.units[place])} ({best.name})",
        ])  # fmt: skip
    caption = (
        f"Losses on {record.judged_on}. Alone: the same network trained on this task only. No model is expected to "
        "have all of these losses at once, unless sharing helps."
    )
    head = ("Task", "Alone", "Best point of the front")
    return make_section("Each task alone", tables=[make_table(caption, head, rows)])


def _sweeps(record: ExploreRecord) -> Page:
    sums = sum(point.kind == "sum" for point in record.points)
    words = [
        f"Weighted sums: {plural(sums, 'run')} a seed; {clean(record.ended[0])}.",
        f"Then Tchebycheff points: {count(len(record.points) - sums)}; {clean(record.ended[1])}.",
    ]
    if record.emptiest:
        pairs = [f"{one} and {other}" for one, other in record.emptiest[:6]]
        words.append(
            f"A weighted sum was aimed between {joined(pairs)}, and training found nothing new: either no weights "
            "select anything there, or training does not find it."
        )
    rows = [
        [point.name, clean(point.reason), next((run.folder for run in point.runs if run.folder), "not kept")]
        for point in record.points
    ]
    caption = "Why each preference was trained, and the run of its first seed; record.json holds all runs and methods."
    head = ("Point", "Reason", "Run")
    return make_section("How the points were found", *words, tables=[make_table(caption, head, rows)])
