"""Records of fits with a known truth: held-out losses are what a test says they are."""

from collections.abc import Mapping, Sequence

from equipoise.core.records.audit import DataCard
from equipoise.core.records.columns import ColumnCard
from equipoise.core.records.fitted import Curve, Entrant, FitRecord, FittedTask, SeedRun, SplitCard

Losses = Mapping[str, Sequence[float | None]]
"""Task -> one held-out loss a seed; None: this run failed."""

WORDS = {
    "joint": "one network, equal weights",
    "weights": "one network, tuned weights",
    "linear": "one linear model of width 2",
    "separate": "a network for each target",
    "boosting": "gradient boosting for each target",
}


def run(seed: int, losses: Mapping[str, float | None], val: Mapping[str, float | None], **more) -> SeedRun:
    if all(loss is None for loss in losses.values()):
        return SeedRun(seed=seed, status="failed", reason="The loss of “a” was NaN at step 12.", **more)
    metric = {task: None if loss is None else 1 - loss for task, loss in losses.items()}
    return SeedRun(seed=seed, val=dict(val), test=dict(losses), metric=metric, passes=60, seconds=4.2, **more)


def entrant(role: str, losses: Losses, val: Losses | None = None, **more) -> Entrant:
    seeds = len(next(iter(losses.values())))
    runs = []
    for seed in range(seeds):
        tested = {task: values[seed] for task, values in losses.items()}
        chosen = {task: values[seed] for task, values in (val or losses).items()}
        runs.append(run(seed, tested, chosen, **more))
    return Entrant(name=role, role=role, words=WORDS[role], parameters=43_210, runs=tuple(runs))


def record(
    *entrants: Entrant,
    selected: str = "",
    rows: tuple[int, int, int] = (700, 150, 150),
    redrawn: bool = True,
    **changed,
) -> FitRecord:
    tasks = list(dict.fromkeys(task for one in entrants for each in one.runs for task in each.test))
    cards = [ColumnCard(name=f"x{i}", role="input", holds="numbers", missing=0) for i in range(6)]
    cards += [ColumnCard(name=task, role="target", holds="numbers", missing=0) for task in tasks]
    whole = {
        "title": "parts.csv: a, b",
        "command": "equipoise fit parts.csv --targets a,b --seeds 5",
        "data": DataCard(
            name="parts.csv", source="a file", rows=1000, rows_used=1000, inputs=6, steps=("x1: gaps filled",),
            columns=tuple(cards),
        ),
        "sha256": "ab" * 32,
        "tasks": [
            FittedTask(
                name=task, kind="regression", loss="mean squared error", loss_unit="shares of the training variance",
                metric="R2", better="higher", labelled=1000,
            )
            for task in tasks
        ],
        "split": SplitCard(
            how="at random", kind="random", train=rows[0], val=rows[1], test=rows[2], redrawn=redrawn
        ),
        "seeds": [each.seed for each in entrants[0].runs],
        "budget": "60 epochs for each training; 8 trials of weights",
        "selection": "the lowest mean of the validation losses over those of separate networks",
        "entrants": entrants,
        "selected": dict.fromkeys(tasks, selected or entrants[0].name),
        "predicts": "the networks of all seeds, averaged",
        "device": "CPU, 1 thread",
        "versions": {"equipoise": "0.2.0", "torch": "2.13.0"},
    }  # fmt: skip
    return FitRecord.model_validate(whole | changed)


def losses(
    *ratios: float, k: int = 2, noise: Sequence[float] = (0.0, 0.01, -0.02, 0.015, -0.005)
) -> dict[str, list[float]]:
    """Losses of tasks a, b, ... in five seeds: a ratio each (the last one repeated), times a known noise."""
    names = "abcdefghijkl"[:k]
    each = [*ratios, *[ratios[-1]] * (k - len(ratios))]
    return {
        name: [0.3 * ratio * (1 + part * (1 + place)) for part in noise]
        for place, (name, ratio) in enumerate(zip(names, each, strict=True))
    }


def curve(tasks: Sequence[str]) -> Curve:
    steps = tuple(range(0, 2001, 200))
    falling = {task: tuple(0.2 + 0.8 / (1 + step / 200 * (1 + i)) for step in steps) for i, task in enumerate(tasks)}
    return Curve(steps=steps, train={task: tuple(0.9 * x for x in row) for task, row in falling.items()}, val=falling)
