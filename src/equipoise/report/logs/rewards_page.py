"""A record of rewards as sentences, tables and pictures."""

from collections.abc import Sequence

from ...core.drawing import plot_parts as plot
from ...core.records.rewards import EffectRecord, RewardsRecord
from ...core.text import clean, count, joined, percent, plural, signed
from ..training.figures import ANGLE, SHARE, ZERO, Series, draw_series
from .page_parts import Page, make_section, make_table, number, spanned

__all__ = ["rewards_page"]

_SUMS = {
    "sum_then_normalize": "weighted rewards are added up, centred in each group and divided by its deviation (GRPO)",
    "normalize_then_sum": "each reward is centred and divided by its deviation in each group, then weighted (GDPO)",
}
_CAVEAT = (
    "The predictions are exact to first order for a policy that is a table: one probability for each completion of a "
    "prompt. In a network completions share parameters, and a predicted sign is no promise: for a linear policy on "
    "groups of 8 it was right in 55 to 82 % of the first 50 steps, and in 52 to 69 % of later ones. Intervals are over "
    "groups, for prompts like these. Balanced weights spare the search for weights; nothing here says that the "
    "policy becomes better than with tuned ones."
)
_LEVEL = "95 % interval over groups"


def rewards_page(record: RewardsRecord) -> Page:
    """Everything that a report on rewards shows."""
    names = [clean(name) for name in record.rewards]
    status, badge, headline = _headline(record, names)
    steps = f", {plural(len(record.steps), 'step')}" if record.steps else ""
    sections = [_present(record, names), _balanced(record, names), _groups(record, names), _together(record, names)]
    return {
        "title": f"Rewards {joined(names)}",
        "kicker": "equipoise rewards",
        "status": status,
        "badge": badge,
        "headline": headline,
        "lead": f"{clean(record.data)}: {plural(record.rows, 'completion')} in {plural(record.groups, 'group')} of the "
        f"same {clean(record.group)}{steps}.",
        "notes": [clean(note) for note in record.notes],
        "sections": [*sections, *_training(record, names)],
        "caveat": _CAVEAT,
        "settings": [
            ("weights", ", ".join(f"{weight:g}" for weight in record.present.weights)),
            ("advantage", _SUMS[record.aggregation]),
            ("method", record.method),
            ("files", count(record.files)),
            ("sha256", record.sha256),
        ],
        "command": record.command,
        "versions": sorted(record.versions.items()),
    }


def _verdict(effect: EffectRecord, place: int, varies: bool) -> str:
    if not varies:
        return "never varies"
    if effect.low is None or effect.high is None:
        return f"{'rises' if effect.alignment[place] > 0 else 'falls'}, one group"
    if effect.low[place] > 0:
        return "rises"
    return "falls" if effect.high[place] < 0 else "cannot tell"


def _headline(record: RewardsRecord, names: Sequence[str]) -> tuple[str, str, str]:
    present = record.present
    if present.status == "no variance":
        return "undetermined", "Nothing varies", "No reward varies in any group: these completions teach nothing."
    varies = [record.deviations[i] > 0 for i in range(len(names))]
    said = {name: _verdict(present, i, varies[i]) for i, name in enumerate(names)}
    falls = [f"'{name}'" for name, words in said.items() if words.startswith("falls")]
    open_ = [f"'{name}'" for name, words in said.items() if words == "cannot tell"]
    if falls:
        verb = "falls" if len(falls) == 1 else "fall"
        return "not_enough", f"{len(falls)} of {len(names)} falls", f"{joined(falls)} {verb} under the present weights."
    if open_:
        words = f"No reward is shown to fall under the present weights; {joined(open_)} cannot be told apart from 0."
        return "undetermined", "Not all told apart", words
    return "enough", "All rise", "Every reward that varies is predicted to rise under the present weights."


def _interval(effect: EffectRecord | None, place: int) -> str:
    if effect is None or effect.low is None or effect.high is None:
        return "n/a"
    return spanned(effect.low[place], effect.high[place])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "−")


def _present(record: RewardsRecord, names: Sequence[str]) -> Page:
    effect = record.present
    rows = [
        [
            name, f"{effect.weights[i]:g}", _percent(effect.share[i]), signed(effect.alignment[i]),
            _interval(effect, i), _verdict(effect, i, record.deviations[i] > 0),
        ]
        for i, name in enumerate(names)
    ]  # fmt: skip
    words = ""
    if effect.status != "no variance" and any(effect.share):
        first = max(range(len(names)), key=lambda i: effect.share[i])
        words = f"'{names[first]}' decides most of the update: {100 * effect.share[first]:.0f} % of its variance."
    caption = (
        f"{count(record.rows)} completions, {count(record.groups)} groups, in-sample. Share: part of the variance of "
        "the update's advantage; negative where the weighted reward works against the update. Correlation of each "
        "reward's advantage with the update's: its sign is that of the reward's first-order change. The interval takes "
        "weights as given."
    )
    head = ("Reward", "Weight", "Share of the update", "Correlation with the update", _LEVEL, "To first order")
    return make_section("What the present weights do", words, tables=[make_table(caption, head, rows)])


def _balanced(record: RewardsRecord, names: Sequence[str]) -> Page:
    effect, apart = record.balanced, record.held_out
    title = "Weights under which all rise" if effect.status == "all rise" else "Balanced weights"
    if effect.status == "no variance":
        return make_section(title, "No weights matter where no reward varies.")
    words = {
        "all rise": f"Under the weights of {record.method} every reward that varies is predicted to rise, each by at "
        f"least {effect.margin:.2f} of the update's size in its own deviations.",
        "not all rise": f"Under the weights of {record.method}, with the advantages as the trainer makes them, some "
        "predicted change is 0 or below.",
        "opposed": "No update raises all of these rewards: a weighted sum of them is constant within every group.",
    }[effect.status]
    rows = [
        [
            name, number(effect.weights[i]), signed(effect.alignment[i]), _interval(effect, i),
            "n/a" if apart is None else signed(apart.alignment[i]), _interval(apart, i),
        ]
        for i, name in enumerate(names)
    ]  # fmt: skip
    held = (
        "Other groups: weights computed on one half of the groups, measured on the other half, both ways round."
        if apart
        else "Other groups: not measured, because there are fewer than 20 groups or no variance in a half of them."
    )
    caption = f"Weights have the sum {len(names)}. These groups: in-sample, and so optimistic. {held}"
    head = ("Reward", "Weight", "Correlation, these groups", _LEVEL, "Correlation, other groups", _LEVEL)
    pasted = ", ".join(f"{weight:.4g}" for weight in effect.weights)
    code = [
        f"GRPOConfig(reward_weights=[{pasted}], multi_objective_aggregation={record.aggregation!r})",
        "class Trainer(eq.rewards.BalancedRewards, GRPOTrainer): ...  # the same, anew in each batch",
    ]
    return make_section(title, words, tables=[make_table(caption, head, rows)], code=code)


def _groups(record: RewardsRecord, names: Sequence[str]) -> Page:
    collapsed = (
        f"{percent(record.collapsed, record.groups)} of the groups are collapsed ({count(record.collapsed)} of "
        f"{count(record.groups)}): no reward varies in them, so they teach nothing."
    )
    single = f"{plural(record.single, 'group')} of these hold one completion only." if record.single else ""
    rows = [
        [
            name, number(record.means[i]), number(record.deviations[i]),
            percent(record.collapsed_by_reward[i], record.groups), count(record.missing[i]),
        ]
        for i, name in enumerate(names)
    ]  # fmt: skip
    caption = (
        "Means and deviations in each reward's own unit. A completion without a reward counts as its group's mean."
    )
    head = ("Reward", "Mean", "Deviation within groups", "Groups without variance", "Completions without it")
    return make_section("Groups", collapsed, single, tables=[make_table(caption, head, rows)])


def _together(record: RewardsRecord, names: Sequence[str]) -> Page:
    same = [f"'{clean(one)}' and '{clean(other)}' are the same in every row." for one, other in record.doubled]
    rows = [[name, *(signed(value) for value in record.correlation[i])] for i, name in enumerate(names)]
    caption = "Correlations of the advantages, each centred in its group. Below 0: what raises one lowers the other."
    return make_section("How the rewards go together", *same, tables=[make_table(caption, ("Reward", *names), rows)])


def _training(record: RewardsRecord, names: Sequence[str]) -> list[Page]:
    if len(record.steps) < 2:
        return []
    lines = record.steps
    series = (
        Series(
            "Correlation with the update, present weights", "correlation", lambda line: line.present, axis=ANGLE | ZERO
        ),
        Series("Balanced weights, of rewards over their deviation", "weight", lambda line: line.weights),
        Series("Mean rewards", "mean", lambda line: line.means),
    )
    collapsed = Series(
        "Collapsed groups", "percent", lambda line: [100 * line.collapsed / line.groups], axis=SHARE,
        labels=lambda _: ["collapsed groups"],
    )  # fmt: skip
    found = [draw_series(one, lines, names) for one in (*series, collapsed)]
    falls = [sum(line.present[i] < 0 for line in lines) for i in range(len(names))]
    said = [f"'{name}' {percent(fell, len(lines))}" for name, fell in zip(names, falls, strict=True)]
    words = f"Predicted to fall under the present weights: {joined(said)} of {plural(len(lines), 'step')}."
    legend = [plot.legend_line(style["name"], style["color"], style["dash"]) for style in plot.line_styles(names)]
    return [
        make_section(
            "Over training",
            words,
            panels=[panel for panel in found if panel is not None],
            legend=legend,
            caption="Each step is judged by its own batch, whose few groups make single steps noisy.",
        )
    ]
