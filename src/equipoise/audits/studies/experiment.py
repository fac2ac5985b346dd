"""The published experiment (Hu et al., NeurIPS 2023, section 5): every triple of tasks, at widths 1 and 2."""

from collections.abc import MutableMapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np

from ...core.numbers import Array
from ...core.progress import Progress
from ...core.records.json_text import model_of
from ...core.records.studies import EndRecord, RunsRecord, TripleRecord, TriplesRecord
from ...data import Table
from ...errors import SettingError, TaskError, listed
from ...linear import LinearProblem, condition, minimal_mixture, pareto_test, tchebycheff
from ...linear.descent.limit_points import EndPoints, end_points
from ...linear.reachability.pareto import ParetoStatus
from ...linear.reachability.reach import SupportPool, reach_with
from ..parts import unfinished
from ..widths.front_sample import lattice, weight_sweep
from ..widths.optima import Shares, in_shares

__all__ = ["reproduce_triples"]

SWEEP = 300
DIGITS = 6


def reproduce_triples(
    table: Table,
    *,
    triples: Sequence[Sequence[str]] | None = None,
    widths: Sequence[int] = (1, 2),
    starts: int = 20,
    directions: int = 36,
    seed: int = 0,
    tolerance: float = 1e-5,
    kept: MutableMapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> TriplesRecord:
    """What weighted sums, MGDA, MGDA-UB and Tchebycheff reach on triples of a table's tasks.

    For each triple and width: the theorem's condition; a sweep over weights, refined where losses move; MGDA and
    MGDA-UB from random starts in the inputs' space, with fixed steps until Pareto-stationary; exact Tchebycheff points
    over a lattice of directions. Every end and every point is judged by the exact Pareto test and by `reach`: only a
    point that is Pareto-optimal and that no weights reach is evidence against weighted sums.

    We differ from the paper: heads are eliminated, the ends are judged exactly instead of by looking at a scatter plot
    of a weight sweep, and losses are in shares of each task's variance.

    Args:
        table: Table of at least three tasks, as `equipoise.data.load` returns it.
        triples: Names of three tasks each; default all triples.
        widths: Widths of the shared layer.
        starts: Number of starts of MGDA and of MGDA-UB.
        directions: Number of Tchebycheff points.
        seed: First seed of the starts.
        tolerance: Leads below it count as 0, in shares of the predictable variance. Ends are known to about 1e-6.
        kept: Finished parts, one a triple and width, which are not computed again; new ones are put in.
        progress: Called with (done, all, words).

    Raises:
        TaskError: Fewer than three tasks, or unknown names.
        SettingError: starts or directions below 1.

    Cost: 3 to 6 s a triple and width; all 35 of SARCOS at two widths 5 minutes.
    """
    if starts < 1 or directions < 1:
        raise SettingError(f"starts and directions must be at least 1; found {starts} and {directions}")
    chosen = [tuple(triple) for triple in triples] if triples else list(combinations(table.tasks, 3))
    unknown = sorted({name for triple in chosen for name in triple} - set(table.tasks))
    if unknown or not chosen or any(len(set(triple)) != 3 for triple in chosen):
        raise TaskError(
            f"triples must name three different tasks of {listed(table.tasks)}; unknown: {listed(unknown) or 'none'}; "
            f"given: {chosen or 'none'}"
        )
    parts: MutableMapping[str, Any] = {} if kept is None else kept
    work = {f"{width}: {tasks!r}": (tasks, width) for tasks in chosen for width in widths}
    for name, (tasks, width) in unfinished(work, parts, progress, lambda it: f"{', '.join(it[0])} at width {it[1]}"):
        columns = [table.tasks.index(task) for task in tasks]
        problem = LinearProblem(table.inputs, table.targets[:, columns], tasks=tasks)
        parts[name] = _triple(problem, width, starts, directions, seed, tolerance).model_dump(mode="json")
    return TriplesRecord(
        data=table.name,
        sha256=table.sha256,
        rows=table.rows_used,
        inputs=table.inputs.shape[1],
        starts=starts,
        directions=directions,
        seed=seed,
        tolerance=tolerance,
        triples=tuple(model_of(TripleRecord, parts[name]) for name in work),
        notes=table.warnings,
    )


def _triple(
    problem: LinearProblem, width: int, starts: int, directions: int, seed: int, tolerance: float
) -> TripleRecord:
    shares = in_shares(problem)
    theorem = condition(problem.gramian, width, tasks=problem.tasks)
    seeds = range(seed, seed + starts)
    rest = problem.target_moments - problem.gramian
    sweep = weight_sweep(shares, width, SWEEP) if width < shares.rank else []
    methods: tuple[Literal["MGDA", "MGDA-UB"], ...] = ("MGDA", "MGDA-UB")
    settings: dict[str, Any] = {"seeds": seeds, "dimensions": max(min(problem.inputs, problem.rows), shares.rank)}
    runs = [
        _of_runs(end_points(problem.gramian, rest, width, method, tolerance=tolerance, **settings))
        for method in methods
    ]
    points, captured = _tchebycheff_points(shares, width, directions, tolerance)
    runs.append(_record("Tchebycheff", points, distinct=len(points)))
    lead, members = 0.0, 0
    optimal = [
        (point.lead, energies)
        for point, energies in zip(points, captured, strict=True)
        if point.pareto == "optimal" and point.lead > tolerance
    ]
    if optimal:
        lead, best = max(optimal, key=lambda pair: pair[0])
        members = len(minimal_mixture(shares.gramian, width, best, np.ones(len(best))).probabilities)
    lead = max([lead, *(end.lead for run in runs for end in run.points if end.pareto == "optimal")])
    return TripleRecord(
        tasks=problem.tasks,
        width=width,
        condition=theorem.status,
        margin=theorem.margin,
        cycle=theorem.cycle,
        sweep=tuple(_rounded(losses) for _, losses in sweep),
        runs=tuple(runs),
        largest_lead=round(max(lead, 0.0), 9),
        members=members,
    )


def _of_runs(ends: EndPoints) -> RunsRecord:
    points = tuple(
        EndRecord(
            losses=_rounded(end.losses),
            pareto=end.pareto,
            lead=round(end.lead, 9),
            reachable=end.reachable,
            saddle_index=end.saddle_index,
        )
        for end in ends.ends
    )
    return _record(
        ends.method, points, distinct=ends.distinct, stationary=ends.stationary,
        rises=sum(end.rises for end in ends.ends),
    )  # fmt: skip


def _record(
    method: Literal["MGDA", "MGDA-UB", "Tchebycheff"],
    points: tuple[EndRecord, ...],
    *,
    distinct: int,
    stationary: int | None = None,
    rises: int = 0,
) -> RunsRecord:
    return RunsRecord(
        method=method,
        points=points,
        stationary=len(points) if stationary is None else stationary,
        optimal=sum(point.pareto == "optimal" for point in points),
        out_of_reach=sum(point.pareto == "optimal" and point.reachable is False for point in points),
        distinct=distinct,
        rises=rises,
    )


def _tchebycheff_points(
    shares: Shares, width: int, directions: int, tolerance: float
) -> tuple[tuple[EndRecord, ...], list[Array]]:
    """Exact Tchebycheff points over a lattice of directions, each judged."""
    pool = SupportPool(shares.gramian, width)
    points: list[EndRecord] = []
    captured: list[Array] = []
    for direction in lattice(len(shares.tasks), directions):
        # excess losses: the ideal is each task's own best
        point = tchebycheff(shares.gramian, direction, width)
        # an exact Tchebycheff point is Pareto-optimal by what it minimises; a bracket has to be tested
        exact = point.exactness == "exact"
        judged: ParetoStatus = (
            "optimal" if exact else pareto_test(shares.gramian, width, point.captured, tolerance=tolerance).status
        )
        found = reach_with(pool, point.captured, np.ones(len(direction)), tolerance)
        captured.append(point.captured)
        points.append(
            EndRecord(
                losses=_rounded(shares.losses(point.captured)),
                pareto=judged,
                lead=round(found.lower, 9),
                reachable={"reachable": True, "unreachable": False}.get(found.status),
            )
        )
    return tuple(points), captured


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(round(float(value), DIGITS) for value in values)
