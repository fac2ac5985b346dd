"""A record of a table of runs as sentences, tables and pictures."""

from collections.abc import Sequence
from itertools import combinations

from ...core.drawing import plot_parts as plot
from ...core.records.run_table import ChoiceRecord, RunRecord, RunTableRecord
from ...core.text import clean, count, joined, percent, plural
from .page_parts import Page, make_section, make_table, number, spanned

__all__ = ["MOST_ROWS", "runs_page"]

MOST_ROWS = 60
"""Settings in the page's table; record.json holds more."""
_MOST_DRAWN = 4  # losses whose pairs are drawn
_MARKS = {
    "picked": ("some weights pick it", "blue", "circle"),
    "no weights": ("no weights pick it", "vermillion", "diamond"),
    "seeds cannot tell": ("the seeds cannot tell", "orange", "square"),
}
_CAVEAT = (
    "This is about these runs only: a run that was never made may be picked by weights, and may change which runs are. "
    "Losses are the table's, with whatever noise and selection went into them; a gap of the size of the noise between "
    "seeds means nothing. A mixture answers each request by a model drawn at random; its losses are expectations."
)


def runs_page(record: RunTableRecord) -> Page:
    """Everything that a report on a table of runs shows."""
    names = [clean(name) for name in record.losses]
    left = sum(record.left_out.values())
    config = f" of {joined([clean(name) for name in record.config])}" if record.config else ""
    low, high = record.runs
    each = f", {low if low == high else f'{low} to {high}'} runs each" if high > 1 else ""
    status, badge, headline = _headline(record)
    out = [f"{plural(number_, 'row')} left out: {reason}." for reason, number_ in record.left_out.items()]
    return {
        "title": f"Runs: {joined(names)}",
        "kicker": "equipoise runs",
        "status": status,
        "badge": badge,
        "headline": headline,
        "lead": f"{clean(record.data)}: {plural(record.settings, 'setting')}{config}{each}, from "
        f"{plural(record.rows - left, 'row')}. {count(record.fronts)} of them are not dominated by another one.",
        "notes": [*out, *(clean(note) for note in record.notes)],
        "sections": [
            _front(record, names), *_beaten(record, names), *_wishes(record, names), *_next(record, names),
        ],
        "caveat": _CAVEAT,
        "settings": [
            ("maximised", joined([clean(name) for name in record.maximised]) or "none"),
            ("seeds", f"column {clean(record.seed_column)}" if record.seed_column else "none were named"),
            ("resamples", _resamples(record)),
            ("sha256", record.sha256 or "none: not a file"),
        ],
        "command": record.command,
        "versions": sorted(record.versions.items()),
    }  # fmt: skip


def _resamples(record: RunTableRecord) -> str:
    if not record.resamples:
        return "none"
    how = "the same seeds in every setting" if record.paired else "each setting for itself"
    return f"{record.resamples} of the seeds, {how}"


def _kind(run: RunRecord) -> str:
    if run.gap == 0:
        return "picked"
    return "no weights" if run.interval is None or run.interval[0] > 1e-9 else "seeds cannot tell"


def _headline(record: RunTableRecord) -> tuple[str, str, str]:
    between = record.fronts - record.picked - record.unpicked
    if record.fronts == 1:
        words = "One setting is the best on every loss: there is nothing to trade."
        return "nothing_to_trade", "Nothing to trade", words
    if record.unpicked:
        words = f"No weights pick {count(record.unpicked)} of the {count(record.fronts)} non-dominated settings."
        return "not_enough", f"{count(record.unpicked)} beyond weights", words
    if between:
        words = (
            f"Some weights pick {count(record.picked)} of the {count(record.fronts)} non-dominated settings; for "
            f"{count(between)} the seeds cannot tell."
        )
        return "undetermined", "Seeds cannot tell", words
    return "enough", "Weights pick all", "Some weights pick each of the non-dominated settings."


def _weights(run: RunRecord) -> list[str]:
    if run.low is None or run.high is None:
        return ["none"] + [""] * (len(run.losses) - 1)
    return [spanned(low, high, 3) for low, high in zip(run.low, run.high, strict=True)]


def _gap(run: RunRecord) -> str:
    return "0" if run.gap == 0 else f"{run.gap:.3f}"


def _front(record: RunTableRecord, names: Sequence[str]) -> Page:
    seeded = bool(record.resamples)
    rows = [
        [
            clean(run.name), *(number(value) for value in run.losses), *_weights(run), _gap(run),
            *([spanned(*run.interval, 3) if run.interval else ""] if seeded else []), _kind(run),
        ]
        for run in record.front[:MOST_ROWS]
    ]  # fmt: skip
    head = [
        "Setting", *names, *(f"weight of {name}" for name in names), "Gap",
        *(["5 to 95 % over seeds"] if seeded else []), "By weights",
    ]  # fmt: skip
    shown = len(rows)
    rough = (
        " With fewer than ten runs a setting, intervals over seeds are rough."
        if seeded and min(record.runs) < 10
        else ""
    )
    minus = " A maximised metric enters the weighted sum with a minus." if record.maximised else ""
    caption = (
        f"{count(shown)} of {count(record.fronts)} non-dominated settings, means over their runs. Weights: smallest "
        "and largest weight, of weights that sum to 1, over all weighted sums that the setting minimises among these "
        f"runs; exact.{minus} Gap: by how many ranges of the front a mixture of other settings is better on every "
        f"loss; exact for these means.{rough}"
    )
    hole = "" if record.largest_hole is None else f"; the largest hole in it is {record.largest_hole:.2g} of its range"
    ends = f"{100 * record.at_ends:.0f} % of the front lie near the best of a single loss{hole}."
    panels = _panels(record, names)
    return make_section(
        "The front", ends, tables=[make_table(caption, head, rows)], panels=panels, legend=plot.legend_of(panels[0]),
        caption="Means over the runs of each setting. Faint dots: dominated settings"
        + (", a sample." if len(record.others) < record.settings - record.fronts else "."),
    )  # fmt: skip


def _panels(record: RunTableRecord, names: Sequence[str]) -> list[plot.Panel]:
    drawn = range(min(len(names), _MOST_DRAWN))
    return [_panel(record, names, i, j) for i, j in combinations(drawn, 2)]


def _panel(record: RunTableRecord, names: Sequence[str], i: int, j: int) -> plot.Panel:
    traces: list[plot.Figure] = []
    if record.others:
        others = {
            "x": [plot.rounded(row[i]) for row in record.others],
            "y": [plot.rounded(row[j]) for row in record.others],
        }
        traces.append(
            {"type": "scatter", "mode": "markers", "name": "dominated", "hoverinfo": "skip", **others,
             "marker": plot.make_marker("faint", "circle", 4, 0.5)}
        )  # fmt: skip
    for kind, (words, color, symbol) in _MARKS.items():
        runs = [run for run in record.front if _kind(run) == kind]
        if runs:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": words,
                    "x": [plot.rounded(run.losses[i]) for run in runs],
                    "y": [plot.rounded(run.losses[j]) for run in runs],
                    "text": [_hover(run, names) for run in runs],
                    "hovertemplate": "%{text}<extra></extra>",
                    "marker": plot.make_marker(color, symbol, 9),
                }
            )
    layout: plot.Figure = {
        "xaxis": plot.make_axis(plot.safe_name(names[i], 40)),
        "yaxis": plot.make_axis(plot.safe_name(names[j], 40)),
    }
    alt = f"{names[j]} against {names[i]}: {record.fronts} non-dominated settings and dominated ones."
    return plot.make_panel(f"{names[i]} and {names[j]}", alt, traces, layout, shape="square")


def _hover(run: RunRecord, names: Sequence[str]) -> str:
    values = [(name, number(value)) for name, value in zip(names, run.losses, strict=True)]
    more = f"gap {run.gap:.3f}" if run.gap else "some weights pick it"
    return plot.hover_text(plot.safe_name(run.name, 60), values, more)


def _members(members: Sequence[tuple[str, float]]) -> str:
    return joined([f"{100 * share:.0f} % {clean(name)}" for name, share in members])


def _beaten(record: RunTableRecord, names: Sequence[str]) -> list[Page]:
    beaten = sorted((run for run in record.front if run.mixture and _kind(run) == "no weights"), key=lambda r: -r.gap)
    if not beaten:
        return []
    rows = [
        [clean(run.name), f"{run.gap:.3f}", _members(run.mixture), *(number(value) for value in run.mixture_losses)]
        for run in beaten[:10]
    ]
    caption = (
        "The largest gaps. Each mixture is better than the setting on every loss, with as few members as were found."
    )
    head = ("Setting", "Gap", "Mixture", *(f"{name}, expected" for name in names))
    words = "What no weights pick, a mixture of settings beats: a model is drawn for each request."
    return [make_section("What beats them", words, tables=[make_table(caption, head, rows)])]


def _wishes(record: RunTableRecord, names: Sequence[str]) -> list[Page]:
    sections = []
    for choice in record.choices:
        rows = [
            [f"best single: {clean(choice.single)}", *(number(value) for value in choice.single_losses)],
            [f"best mixture: {_members(choice.members)}", *(number(value) for value in choice.losses)],
        ]
        table = make_table("Means of these runs; the mixture's are expected losses, exact.", ("Choice", *names), rows)
        sections.append(make_section(f"For {clean(choice.wish)}", _wish_words(choice), tables=[table]))
    return sections


def _wish_words(choice: ChoiceRecord) -> str:
    if not choice.met:
        return "No mixture of these runs meets this. Those shown miss it least, in shares of each loss's range."
    if not choice.single_met:
        return "No single run meets this; the mixture does on average."
    if len(choice.members) == 1:
        return f"{clean(choice.single)} suits it best; no mixture of these runs does better."
    return f"Of single runs {clean(choice.single)} suits it best; the mixture does better."


def _next(record: RunTableRecord, names: Sequence[str]) -> list[Page]:
    if not record.next_weights:
        return []
    rows = [
        [joined([clean(name) for name in proposal.between]), *(number(weight) for weight in proposal.weights)]
        for proposal in record.next_weights
    ]
    minus = f" ({joined([clean(name) for name in record.maximised])} with a minus)" if record.maximised else ""
    caption = f"Weights of the losses{minus}, sum 1; the widest empty stretches of the front first."
    head = ("Between", *(f"weight of {name}" for name in names))
    words = (
        "These weighted sums do not prefer one of the settings named to another, and no run lies below the flat "
        "stretch that they span. Training one such sum shows whether weights reach it."
    )
    share = percent(record.picked, record.fronts)
    return [
        make_section(
            "Weights to try next", words, tables=[make_table(caption, head, rows)],
            caption="" if record.fronts < 3 else f"Weights pick {share} of the front so far.",
        )
    ]  # fmt: skip
