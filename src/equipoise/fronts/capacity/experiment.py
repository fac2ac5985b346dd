"""Fronts of growing networks: weighted sums, Tchebycheff, and the ends of four methods, in-sample and held out."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...comparison.paired import paired
from ...core.numbers import Array, is_whole
from ...core.progress import Progress
from ...core.records.studies import CapacityEnd, CapacityRecord, CapacityRow, Spread
from ...core.simplex_points import lattice_of
from ...core.tasks import ReferencePoint
from ...data import Table
from ...errors import EquipoiseError, SettingError
from ...linear.pools.measured_runs import audit_runs
from ...linear.pools.pool_mixture import mixture
from ...linear.pools.preference_lp import spread
from ...methods import MGDA, CAGrad, LinearScalarization, NashMTL, PCGrad, Tchebycheff
from ...methods.base import Method
from ...training.executors.pool import run_in_processes
from ...training.loop.evaluation import evaluate
from ...training.loop.training import fit
from ..data_problems.rotated_digits import FRACTIONS
from ..decision import nondominated
from ..exploring.judging import MATTERS
from ..exploring.selecting import PreferredLoss
from ..exploring.subject import cosine
from ..indicators.dominated_volume import hypervolume
from .problems import Digits, Joints

__all__ = ["METHODS", "NETWORKS", "reproduce_capacity"]

NETWORKS = ((2,), (8,), (32,), (32, 32))
METHODS: tuple[Method, ...] = (MGDA(), PCGrad(), CAGrad(), NashMTL())
_LEAST_WEIGHT = 0.02
_PARTS = {"in-sample": "train", "held-out": "test"}


@dataclass(frozen=True)
class Budget:
    """What every training gets."""

    preferences: int
    rates: tuple[float, ...]
    steps: int
    batch: int = 128


def reproduce_capacity(
    table: Table | None,
    *,
    networks: Sequence[Sequence[int]] = NETWORKS,
    seeds: int = 5,
    preferences: int = 9,
    rates: Sequence[float] = (3e-3, 1e-2),
    steps: int = 300,
    digits: bool = True,
    jobs: int = 1,
    kept: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> CapacityRecord:
    """Whether the front of a network becomes convex, and whether it moves down, as the network grows.

    For each network and seed: weighted sums and Tchebycheff points over one lattice of weights, and MGDA, PCGrad,
    CAGrad and Nash-MTL. Every one of them is trained once with each learning rate, and the validation part chooses the
    rate: by its own criterion for a preference, by the mean loss for a method. Fronts are then judged on the training
    rows and on the test rows. Losses are divided by those of the best constant, so hypervolumes with reference 1 lie
    between 0 and 1 and can be compared over networks.

    Args:
        table: Joints of an arm, two or more targets; None leaves them out.
        networks: Widths of the shared layers of each network.
        seeds: Number of seeds; each draws its own division of the rows.
        preferences: Number of weighted sums, and of Tchebycheff points.
        rates: Learning rates that are tried.
        steps: Steps of Adam of each training.
        digits: Whether rotated digits take part.
        jobs: Networks and seeds at once, each in a process of its own.
        kept: Finished parts, one a problem, network and seed, which are not computed again; new ones are put in.
        progress: Called with (done, all, words).

    Raises:
        SettingError: Settings out of range, or nothing to train.
        EquipoiseError: A training failed, or a process died.

    Cost: With the defaults 1,800 trainings of .3 to 1 CPU s: 15 to 20 CPU minutes.

    Source:
        Xin et al. (2022), *Do current multi-task optimization methods in deep learning even help?*; Hu et al. (2023),
        *Revisiting scalarization in multi-task learning*, whose question about capacity this is.
    """
    least = {"seeds": (seeds, 1), "preferences": (preferences, 2), "steps": (steps, 1), "jobs": (jobs, 1)}
    wrong = [f"{name}={value!r}" for name, (value, low) in least.items() if not is_whole(value, least=low)]
    if wrong or not rates or not networks or not (digits or table is not None):
        raise SettingError(
            f"reproduce_capacity needs whole numbers, rates, networks and a problem; got {'; '.join(wrong) or 'none'}."
        )
    budget = Budget(preferences, tuple(float(rate) for rate in rates), steps)
    names = [*(["digits"] if digits else []), *(["arm"] if table is not None else [])]
    work = {
        _key(name, hidden, seed): (name, tuple(hidden), seed)
        for name in names
        for hidden in networks
        for seed in range(seeds)
    }
    parts: MutableMapping[str, Any] = {} if kept is None else kept
    rest = {key: item for key, item in work.items() if key not in parts}
    _carry_out(rest, table, budget, jobs, parts, len(work), progress)
    rows = [
        _row(name, tuple(hidden), [parts[_key(name, hidden, seed)] for seed in range(seeds)], part)
        for name in names
        for hidden in networks
        for part in _PARTS
    ]
    return CapacityRecord(
        data="" if table is None else table.name,
        sha256="" if table is None else table.sha256,
        seeds=seeds,
        preferences=preferences,
        rates=budget.rates,
        steps=steps,
        rows=tuple(rows),
    )


def _key(name: str, hidden: Sequence[int], seed: int) -> str:
    return f"{name}, {'-'.join(map(str, hidden))}, seed {seed}"


def _carry_out(
    rest: dict[str, tuple[str, tuple[int, ...], int]], table: Table | None, budget: Budget, jobs: int,
    parts: MutableMapping[str, Any], whole: int, progress: Progress | None,
) -> None:  # fmt: skip
    keys = list(rest)
    done = whole - len(rest)

    def ended(number: int, found: Any) -> None:
        nonlocal done
        if isinstance(found, str):
            raise EquipoiseError(f"{keys[number]}: {found}. What is finished is kept.")
        parts[keys[number]] = found
        done += 1
        if progress is not None:
            progress(done, whole, keys[number])

    calls = {
        number: (name, hidden, seed, None if name == "digits" else table, budget)
        for number, (name, hidden, seed) in enumerate(rest.values())
    }
    if jobs == 1:
        for number, call in calls.items():
            ended(number, one_part(*call))
    else:
        run_in_processes(one_part, calls, jobs, ended, lambda number, why: why)


def one_part(
    name: str, hidden: tuple[int, ...], seed: int, table: Table | None, budget: Budget
) -> dict[str, Any] | str:
    """All trainings of one network with one seed: losses by entrant on the training and the test rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        source = Digits(seed) if table is None else Joints(table, seed)
        k = len(source.tasks)
        weights = np.maximum(lattice_of(k, budget.preferences), _LEAST_WEIGHT)
        rows = [tuple(row) for row in (weights / weights.sum(axis=1, keepdims=True)).tolist()]
        groups: dict[str, list[Method]] = {
            "sums": [LinearScalarization(row) for row in rows],
            "tchebycheff": [Tchebycheff(row, ideal=None) for row in rows],
            **{type(method).__name__: [method] for method in METHODS},
        }
        found: dict[str, Any] = {"tasks": list(source.tasks), "parameters": 0}
        for group, methods in groups.items():
            found[group] = [_tuned(source, hidden, method, seed, budget, found) for method in methods]
    except (EquipoiseError, ArithmeticError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(before)
    return found


def _tuned(
    source: Digits | Joints, hidden: tuple[int, ...], method: Method, seed: int, budget: Budget, into: dict[str, Any]
) -> dict[str, list[float]]:
    """The best of the learning rates by the validation part: its losses on the training and the test rows."""
    best: tuple[float, dict[str, list[float]]] | None = None
    preference = method if isinstance(method, LinearScalarization | Tchebycheff) else None
    rule = PreferredLoss(preference or LinearScalarization((1.0,) * len(source.tasks)))
    for rate in budget.rates:
        problem = source.problem(hidden)
        fitted = fit(
            problem, method, steps=budget.steps, batch_size=budget.batch, seed=seed, select=rule, schedule=cosine,
            every=max(1, budget.steps // 10), optimizer=_Adam(rate),
        )  # fmt: skip
        val = {task: float("inf") if loss is None else loss for task, loss in fitted.losses["val"].items()}
        score = rule.scores(val)[""]
        if best is None or score < best[0]:
            train = evaluate(problem, fitted.model, problem.sources["train"], torch.device("cpu"))
            losses = {"train": train.losses, "test": fitted.losses["test"]}
            best = score, {part: [_known(value) for value in each.values()] for part, each in losses.items()}
            into["parameters"] = fitted.config.parameters
    assert best is not None
    return best[1]


@dataclass(frozen=True)
class _Adam:
    rate: float

    def __call__(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.rate)


def _known(value: float | None) -> float:
    if value is None:
        raise EquipoiseError("a loss is not finite; lower the learning rates.")
    return float(value)


def _row(name: str, hidden: tuple[int, ...], found: Sequence[dict[str, Any]], part: str) -> CapacityRow:
    where = _PARTS[part]
    sums = [_losses(each["sums"], where) for each in found]
    rays = [_losses(each["tchebycheff"], where) for each in found]
    pools = [np.concatenate(pair) for pair in zip(sums, rays, strict=True)]
    judged = [_hidden(pool) for pool in pools]
    ends = []
    for method in METHODS:
        key = type(method).__name__
        places = [_losses(each[key], where)[0] for each in found]
        ends.append(
            CapacityEnd(
                method=key,
                losses=tuple(np.mean(places, axis=0).tolist()),
                lead=_spread([_lead(pool, place) for pool, place in zip(sums, places, strict=True)], most=None),
            )
        )
    return CapacityRow(
        problem=name,
        tasks=tuple(found[0]["tasks"]),
        network="-".join(map(str, hidden)),
        parameters=int(found[0]["parameters"]),
        part="in-sample" if part == "in-sample" else "held-out",
        sums=_spread(_volumes(sums)),
        tchebycheff=_spread(_volumes(rays)),
        hidden=_spread([share for share, _ in judged]),
        gap=_spread([gap for _, gap in judged]),
        lowest=tuple(np.mean([pool.min(axis=0) for pool in pools], axis=0).tolist()),
        ends=tuple(ends),
    )


def _losses(entries: Sequence[dict[str, list[float]]], part: str) -> Array:
    return np.array([entry[part] for entry in entries])


def _volumes(fronts: Sequence[Array]) -> list[float]:
    """Hypervolumes with the best constant as reference."""
    return [hypervolume(front, np.ones(front.shape[1])) for front in fronts]


def _hidden(pool: Array) -> tuple[float, float]:
    """Share of the non-dominated points that no weights select by more than what matters, and the largest gap."""
    audit = audit_runs(pool)
    gaps = np.array([point.pool_gap for point in audit.points if point.dominated_by is None])
    return float((gaps > MATTERS).mean()), float(gaps.max())


def _lead(sums: Array, place: Array) -> float:
    """Ranges of the sums' front by which a mixture of sums is lower than a point in every loss; < 0: it is ahead."""
    unit = spread(sums[nondominated(sums)])
    best = mixture(sums / unit, ReferencePoint(tuple((place / unit).tolist())))
    return -float((best.losses - place / unit).max())


def _spread(values: Sequence[float], *, most: float | None = 1.0) -> Spread:
    """Mean over seeds with a 95 % interval, corrected for the rows that the divisions of seeds share.

    The interval is cut at 0 and `most`, which bound what is measured; None leaves it as it is.
    """
    found = paired(list(values), FRACTIONS[2] / FRACTIONS[0])
    if found.low is None or found.high is None or most is None:
        return Spread(mean=found.mean, low=found.low, high=found.high)
    return Spread(mean=found.mean, low=max(found.low, 0.0), high=min(found.high, most))
