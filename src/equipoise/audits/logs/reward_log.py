"""A file of rewards -> what the present weights do, what balanced ones would, and how it went over training."""

from collections.abc import Sequence
from importlib.metadata import version as version_of
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..._version import __version__
from ...core.names import doubled
from ...core.numbers import Array
from ...core.records.rewards import EffectRecord, RewardsRecord, RewardStep
from ...data.raw import RawTable
from ...errors import DataError, SettingError, listed
from ...methods.base import Method
from ...methods.gramian.mgda import MGDA
from ...rewards.advantages import Advantages, centred, contributions
from ...rewards.reward_weights import RewardEffect, effect, effect_of, weights
from .columns import LogTable, chosen

__all__ = ["audit_rewards"]

Aggregation = Literal["sum_then_normalize", "normalize_then_sum"]

MOST_STEPS = 60
"""Steps that are judged one by one; of more, neighbours are put together."""

_HALVES = 20
"""Fewest groups that are split into halves."""


def audit_rewards(
    raws: Sequence[RawTable],
    *,
    group: str,
    rewards: Sequence[str],
    present: Sequence[float] | None = None,
    step: str | None = None,
    aggregation: Aggregation = "sum_then_normalize",
    method: Method | None = None,
    command: str = "",
) -> RewardsRecord:
    """Read rewards and judge their weights.

    Args:
        raws: Tables with one row a completion, as they were read; all have the same columns.
        group: Column of the prompts.
        rewards: Columns of the rewards, two or more.
        present: Their weights in training; equal ones by default.
        step: Column of the training step. A prompt that comes back in another step is another group.
        aggregation: TRL's word for how the trainer makes one advantage of weighted rewards.
        method: A method on Gramians; ``MGDA()`` by default.
        command: What to type to get the record again.

    Raises:
        DataError: A file or column cannot be used; fewer than two rewards; no two completions of a prompt.
        SettingError: Weights of another number.
    """
    names = tuple(rewards)
    if len(names) < 2 or doubled(names):
        raise DataError(
            f"--rewards must name two or more different columns; found {listed(names) or 'none'}. With one reward "
            "every positive weight gives the same update."
        )
    given = np.ones(len(names)) if present is None else np.asarray(present, dtype=np.float64)
    if given.shape != (len(names),) or not np.isfinite(given).all():
        raise SettingError(
            f"--weights must hold one finite number for each of the {len(names)} rewards; found {list(given)}."
        )
    log = chosen(raws, {"--rewards": names, **({"--step": (step,)} if step else {})}, {"--group": (group,)})
    weigher = MGDA() if method is None else method
    table = np.column_stack([log.numbers[name] for name in names])
    when = log.numbers[step] if step else np.zeros(log.rows)
    notes = list(log.steps)
    table, labels, when = _usable(log, group, table, when, notes)
    if step and (count := len(np.unique(when))) > MOST_STEPS:
        notes.append(f"{count:,} steps are judged in {MOST_STEPS} stretches of neighbouring steps.")
    found = centred(table, labels, names, missing="neutral")
    basis = _basis(table, found, aggregation)
    balanced = weights(basis, labels, weigher, names=names, missing="neutral")
    best = _kept_sum(balanced.raw_weights)
    given_effect = effect(table, labels, given, aggregation, names=names, missing="neutral")
    best_effect = effect(table, labels, best, aggregation, names=names, missing="neutral")
    return RewardsRecord(
        command=command, data=log.name, files=log.files, sha256=log.sha256, group=group, step_column=step or "",
        rewards=names, rows=len(table), groups=found.groups, single=int(np.sum(np.bincount(found.codes) == 1)),
        collapsed=balanced.collapsed, collapsed_by_reward=tuple(balanced.collapsed_by_reward.tolist()),
        missing=tuple(found.missing.tolist()), means=tuple(np.nanmean(table, axis=0).tolist()),
        deviations=tuple(found.scale.tolist()), correlation=tuple(map(tuple, _correlation(found).tolist())),
        doubled=_same(table, names), aggregation=aggregation, method=repr(weigher),
        present=_judged(given, given_effect), balanced=_judged(best, best_effect),
        held_out=_held_out(table, basis, found, labels, best, weigher, aggregation),
        steps=_steps(table, labels, when, names, given, weigher, aggregation) if step else (), notes=tuple(notes),
        versions={"equipoise": __version__, "numpy": np.__version__, "scipy": version_of("scipy")},
    )  # fmt: skip


def _usable(
    log: LogTable, group: str, table: Array, when: Array, notes: list[str]
) -> tuple[Array, list[tuple[float, str]], Array]:
    """Rows that can be used, their groups and steps; what was left out is noted."""
    infinite, nothing = np.isinf(table).any(axis=1), np.isnan(table).all(axis=1)
    unknown = np.isnan(when)
    for rows, words in (
        (infinite, "hold an infinite reward"),
        (nothing, "hold no reward at all"),
        (unknown, "have no step"),
    ):
        if rows.any():
            notes.append(f"{int(rows.sum()):,} of {log.rows:,} rows {words} and are left out.")
    kept = np.flatnonzero(~(infinite | nothing | unknown))
    if not len(kept):
        raise DataError(f"Table {log.name!r}: every row is left out. {' '.join(notes)}")
    absent = [name for name, column in zip(log.numbers, table.T, strict=False) if np.isnan(column[kept]).all()]
    if absent:
        raise DataError(f"Table {log.name!r}: {listed(absent)} hold no number in any row. Leave them out of --rewards.")
    texts = log.labels[group]
    return table[kept], [(float(when[i]), texts[i]) for i in kept], when[kept]


def _basis(table: Array, found: Advantages, aggregation: Aggregation) -> Array:
    """What the trainer multiplies by the weights: the rewards, or the rewards normalised in their groups."""
    if aggregation == "sum_then_normalize":
        return table
    return contributions(found, np.ones(len(found.names)), "normalize_then_sum")


def _correlation(found: Advantages) -> Array:
    scaled = found.values / found.divisors
    return np.clip(scaled.T @ scaled / len(scaled), -1.0, 1.0)


def _same(table: Array, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = ((i, j) for i in range(len(names)) for j in range(i + 1, len(names)))
    return tuple((names[i], names[j]) for i, j in pairs if np.array_equal(table[:, i], table[:, j], equal_nan=True))


def _judged(given: Array, found: RewardEffect) -> EffectRecord:
    bounds = None if found.interval is None or not found.size > 0 else (found.interval / found.size).T.tolist()
    return EffectRecord(
        weights=tuple(given.tolist()), alignment=tuple(found.alignment.tolist()),
        low=None if bounds is None else tuple(bounds[0]), high=None if bounds is None else tuple(bounds[1]),
        share=tuple(found.share.tolist()), margin=found.margin, status=found.status,
    )  # fmt: skip


def _kept_sum(raw: Array) -> Array:
    """Weights of sum k, as equal ones have; as they are where their sum is not positive."""
    total = float(raw.sum())
    return raw / total * len(raw) if total > 0 else raw


def _held_out(
    table: Array,
    basis: Array,
    found: Advantages,
    labels: Sequence[tuple[float, str]],
    best: Array,
    method: Method,
    aggregation: Aggregation,
) -> EffectRecord | None:
    """Weights from one half of the groups (drawn with seed 0), their effect on the other, both ways round."""
    if found.groups < _HALVES:
        return None
    half = np.random.default_rng(0).permutation(found.groups) < found.groups // 2
    side = half[found.codes]
    parts = np.zeros_like(table)
    for here in (side, ~side):
        rows = np.flatnonzero(here)
        if not found.varies[np.unique(found.codes[rows])].any():
            return None
        learnt = _kept_sum(
            weights(basis[rows], [labels[i] for i in rows.tolist()], method, missing="neutral").raw_weights
        )
        parts[~here] = contributions(found, learnt, aggregation)[~here]
    return _judged(best, effect_of(found, found.values / found.divisors, parts))


def _steps(
    table: Array,
    labels: Sequence[tuple[float, str]],
    when: Array,
    names: tuple[str, ...],
    given: Array,
    method: Method,
    aggregation: Aggregation,
) -> tuple[RewardStep, ...]:
    lines = []
    for times in np.array_split(np.unique(when), min(MOST_STEPS, len(np.unique(when)))):
        rows: NDArray[np.intp] = np.flatnonzero((when >= times[0]) & (when <= times[-1]))
        here, part = [labels[i] for i in rows], table[rows]
        if len(set(here)) == len(here):  # one completion a prompt: nothing to compare
            continue
        found = centred(part, here, names, missing="neutral")
        balanced = weights(_basis(part, found, aggregation), here, method, names=names, missing="neutral")
        known = np.isfinite(part)
        means = np.where(known, part, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        now = effect(part, here, given, aggregation, names=names, missing="neutral")
        lines.append(
            RewardStep(
                step=float(times[-1]), rows=len(rows), groups=found.groups, collapsed=balanced.collapsed,
                means=tuple(means.tolist()), present=tuple(now.alignment.tolist()),
                weights=tuple(balanced.weights.tolist()),
            )
        )  # fmt: skip
    return tuple(lines)
