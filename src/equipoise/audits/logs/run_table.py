"""A table of runs that others made -> which are on the front, which of these weights pick, and what suits a wish."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version as version_of

import numpy as np

from ..._version import __version__
from ...core.names import doubled
from ...core.numbers import Array
from ...core.records.run_table import ChoiceRecord, NextWeights, RunRecord, RunTableRecord
from ...core.tasks import Bounds, Preference, Ray
from ...data.raw import RawTable
from ...errors import DataError, SettingError, listed
from ...linear.pools.measured_runs import RunPoint, RunsAudit, audit_runs
from ...linear.pools.pool_mixture import mixture
from ...linear.pools.weight_cells import MOST_TASKS, non_dominated
from .columns import LogTable, chosen

__all__ = ["audit_run_table"]

MOST = 200
"""Non-dominated settings that a record lists; the counts are those of all."""
MOST_PROGRAMS = 200
"""Most settings that are judged with more than `MOST_TASKS` losses, where each takes linear programs."""
_MOST_OTHERS = 400


def audit_run_table(
    raw: RawTable,
    *,
    losses: Sequence[str],
    maximise: Sequence[str] = (),
    seed_column: str | None = None,
    config: Sequence[str] = (),
    bounds: Mapping[str, float] | None = None,
    ray: Mapping[str, float] | None = None,
    resamples: int = 200,
    seed: int = 0,
    command: str = "",
) -> RunTableRecord:
    """Judge a table with one row a run.

    Args:
        raw: The table as it was read.
        losses: Columns to judge, two or more.
        maximise: Losses among these that are better when higher.
        seed_column: Column of the seeds; needs `config`.
        config: Columns that make a setting: rows that agree in all of them are runs of the same setting.
        bounds: Loss -> the highest value wanted (the lowest one where it is maximised).
        ray: Loss -> the proportions wanted; all losses, none maximised.
        resamples: Number of resamples of the seeds.
        seed: Seed of the resamples.
        command: What to type to get the record again.

    Raises:
        DataError: Columns are missing or hold no numbers; fewer than two runs are left.
        SettingError: Options that do not fit together.
    """
    names = tuple(losses)
    _check(names, maximise, seed_column, config, bounds or {}, ray)
    signs = np.where([name in maximise for name in names], -1.0, 1.0)
    log = chosen([raw], {"--losses": names}, {"--config": config, "--seed": (seed_column,) if seed_column else ()})
    table = np.column_stack([log.numbers[name] for name in names])
    kept, left_out = _kept(table, log)
    labels = _settings(log, config, kept)
    seeds = [log.labels[seed_column][i] for i in kept] if seed_column else None
    paired, notes = True, list(log.steps)
    if seeds is not None:
        paired = _balanced(labels, seeds)
        if not paired:
            notes.append(
                "Settings have different seeds, or a seed twice, so each setting's runs were resampled by themselves; "
                "a setting with a single run counts as known exactly."
            )
    if len(names) > MOST_TASKS:
        kept, labels, seeds = _few(table * signs, kept, labels, seeds, notes)
        resamples = max(20, min(resamples, 5_000 // len(kept)))
    found = audit_runs(
        table[kept] * signs, settings=labels, seeds=seeds, tasks=names, resamples=resamples, seed=seed,
        paired=paired,
    )  # fmt: skip
    runs = [point.seeds for point in found.points]
    front = [point for point in found.points if point.dominated_by is None]
    surely = set(found.unsupported)
    to_try = [(weights, [found.points[j].name for j in members[: len(names)]]) for weights, members in found.to_try]
    return RunTableRecord(
        command=command, data=log.name, sha256=log.sha256, losses=names,
        maximised=tuple(name for name in names if name in maximise), seed_column=seed_column or "",
        config=tuple(config), rows=log.rows, left_out=left_out, settings=len(found.points), runs=(min(runs), max(runs)),
        paired=paired, resamples=found.resamples, units=tuple(found.scale.tolist()),
        front=tuple(_run(point, signs) for point in _spread_out(front)), fronts=len(front),
        picked=sum(point.pool_gap == 0 for point in front),
        unpicked=sum(point.pool_gap > 0 and point.name in surely for point in front),
        others=tuple(_shown(point.losses, signs) for point in _sample(found)),
        choices=tuple(_choices(front, names, signs, bounds or {}, ray)),
        next_weights=tuple(NextWeights(weights=tuple(w.tolist()), between=tuple(between)) for w, between in to_try),
        largest_hole=found.largest_hole, at_ends=found.at_ends, notes=tuple(notes),
        versions={"equipoise": __version__, "numpy": np.__version__, "scipy": version_of("scipy")},
    )  # fmt: skip


def _check(
    names: tuple[str, ...],
    maximise: Sequence[str],
    seed_column: str | None,
    config: Sequence[str],
    bounds: Mapping[str, float],
    ray: Mapping[str, float] | None,
) -> None:
    if len(names) < 2 or doubled(names):
        raise DataError(
            f"--losses must name two or more different columns; found {listed(names) or 'none'}. With one loss the "
            "best run is the one with the lowest value."
        )
    problems = [
        f"{flag} names {listed(unknown)}, not among --losses ({listed(names)})"
        for flag, given in (("--maximise", maximise), ("--bound", bounds), ("--ray", ray or {}))
        if (unknown := [name for name in given if name not in names])
    ]
    if seed_column and not config:
        problems.append(
            f"--seed {seed_column} tells runs of the same setting apart, so --config must name the columns that make a "
            "setting, as in --config lr,width"
        )
    if ray is not None and (maximise or set(ray) != set(names)):
        problems.append(
            "--ray must give a proportion for every loss, and is defined for losses that are minimised: use --bound "
            "where one is maximised"
        )
    if problems:
        raise SettingError("; ".join(problems) + ".")


def _kept(table: Array, log: LogTable) -> tuple[list[int], dict[str, int]]:
    """Rows whose losses are all numbers, and why others are left out."""
    missing, infinite = np.isnan(table).any(axis=1), np.isinf(table).any(axis=1)
    left_out = {"a loss is missing": int(missing.sum()), "a loss is infinite": int((infinite & ~missing).sum())}
    kept = np.flatnonzero(~(missing | infinite)).tolist()
    if len(kept) < 2:
        raise DataError(
            f"Table {log.name!r} must hold two or more runs with all losses; found {len(kept)} in {log.rows} rows. "
            "With a single run there is nothing to compare."
        )
    return kept, {reason: count for reason, count in left_out.items() if count}


def _few(
    losses: Array, kept: list[int], labels: list[str], seeds: list[str] | None, notes: list[str]
) -> tuple[list[int], list[str], list[str] | None]:
    """With many losses each setting takes linear programs: dominated single runs are left out, more are refused."""
    places = list(range(len(kept)))
    if seeds is None and len(set(labels)) == len(labels):
        places = np.flatnonzero(non_dominated(losses[kept])).tolist()
        if len(places) < len(kept):
            notes.append(f"Of {len(kept):,} runs the {len(kept) - len(places):,} dominated ones were left out at once.")
    if len({labels[i] for i in places}) > MOST_PROGRAMS:
        raise SettingError(
            f"with more than {MOST_TASKS} losses at most {MOST_PROGRAMS} settings that are not dominated are "
            f"judged; found {len(places):,} with {losses.shape[1]} losses. Judge up to {MOST_TASKS} of them at a time."
        )
    chosen_seeds = None if seeds is None else [seeds[i] for i in places]
    return [kept[i] for i in places], [labels[i] for i in places], chosen_seeds


def _settings(log: LogTable, config: Sequence[str], kept: list[int]) -> list[str]:
    if not config:
        return [f"row {i + 1}" for i in kept]
    return [", ".join(f"{name}={log.labels[name][i]}" for name in config) for i in kept]


def _balanced(labels: Sequence[str], seeds: Sequence[str]) -> bool:
    """Whether every setting has each seed exactly once."""
    pairs = set(zip(labels, seeds, strict=True))
    return len(pairs) == len(labels) == len(set(labels)) * len(set(seeds))


def _spread_out(front: list[RunPoint]) -> list[RunPoint]:
    """The front by the first loss; of a long one the settings with the largest gaps and others evenly between."""
    if len(front) <= MOST:
        return sorted(front, key=lambda point: point.losses[0])
    worst = sorted(front, key=lambda point: -point.pool_gap)[: MOST // 4]
    ordered = sorted(front, key=lambda point: point.losses[0])
    places = np.linspace(0, len(ordered) - 1, MOST - len(worst)).round().astype(int)
    both = {point.name: point for point in (*worst, *(ordered[i] for i in places))}
    return sorted(both.values(), key=lambda point: point.losses[0])


def _sample(found: RunsAudit) -> list[RunPoint]:
    """Dominated settings for the picture."""
    behind = [point for point in found.points if point.dominated_by is not None]
    if len(behind) <= _MOST_OTHERS:
        return behind
    drawn = np.random.default_rng(0).choice(len(behind), _MOST_OTHERS, replace=False)
    return [behind[i] for i in sorted(drawn.tolist())]


def _shown(losses: Array, signs: Array) -> tuple[float, ...]:
    """Losses in the table's own sign."""
    return tuple((losses * signs).tolist())


def _run(point: RunPoint, signs: Array) -> RunRecord:
    low, high = (None if w is None else tuple(w.tolist()) for w in (point.weights_low, point.weights_high))
    return RunRecord(
        name=point.name, losses=_shown(point.losses, signs), runs=point.seeds, low=low, high=high, gap=point.pool_gap,
        interval=point.interval, mixture=point.mixture,
        mixture_losses=_shown(point.mixture_losses, signs) if point.mixture else (),
    )  # fmt: skip


def _choices(
    front: Sequence[RunPoint], names: tuple[str, ...], signs: Array, bounds: Mapping[str, float],
    ray: Mapping[str, float] | None,
) -> list[ChoiceRecord]:  # fmt: skip
    pool = np.array([point.losses for point in front])
    wishes: list[tuple[str, Preference]] = []
    if bounds:
        sign = dict(zip(names, signs.tolist(), strict=True))
        parts = [f"{name} {'at least' if sign[name] < 0 else 'at most'} {value:g}" for name, value in bounds.items()]
        wishes.append((", ".join(parts), Bounds({name: sign[name] * value for name, value in bounds.items()})))
    if ray is not None:
        wishes.append(("losses in the proportion " + " : ".join(f"{ray[name]:g}" for name in names), Ray(ray)))
    found = []
    for words, wish in wishes:
        best = mixture(pool, wish, tasks=names)
        met, single = best.status == "optimal", front[best.single]
        found.append(
            ChoiceRecord(
                wish=words, met=met, single=single.name, single_met=met and bool(np.isfinite(best.single_value)),
                single_losses=_shown(single.losses, signs), losses=_shown(best.losses, signs),
                members=tuple((front[j].name, float(best.probabilities[j])) for j in best.members),
                next_weights=tuple(best.next_weights.tolist()),
            )
        )  # fmt: skip
    return found
