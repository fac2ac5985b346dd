"""The survey: on every table and every 3- and 4-task subset, how often the condition fails, and what is at stake."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.records.studies import SurveyRecord, SurveyRow
from ...errors import DataError, SettingError, listed
from ...linear import LinearProblem, condition, minimal_mixture, tchebycheff
from ...linear.problem.gramian import effective_rank
from ..widths.optima import in_shares
from .survey_sets import SETS

__all__ = ["survey", "survey_problem"]

Array = NDArray[np.float64]
Progress = Callable[[int, int, str], None]


def survey(
    folder: Path,
    *,
    sizes: Sequence[int] = (3, 4),
    directions: int = 7,
    threshold: float = 0.01,
    seed: int = 0,
    progress: Progress | None = None,
) -> SurveyRecord:
    """How often weighted sums cannot reach the whole front of a linear model, over the sets of a data folder.

    Args:
        folder: With the sets as `survey_sets.SETS` names them; those that are missing are noted.
        sizes: Tasks in a subset.
        directions: Tchebycheff points judged in each subset that fails or is open; the first is the balanced one.
        threshold: Leads above this share of variance matter.
        seed: Of the directions.
        progress: Called with (done, all, words).

    Returns:
        One row a set, subset size and width.

    Raises:
        DataError: None of the sets is there.
        SettingError: A setting out of range.
    """
    present = [entry for entry in SETS if (folder / entry.path).is_file()]
    if not present:
        raise DataError(f"none of the sets is in {folder}: looked for {listed(entry.path for entry in SETS)}")
    rows: list[SurveyRow] = []
    for number, entry in enumerate(SETS):
        if progress:
            progress(number, len(SETS), entry.name)
        if entry not in present:
            rows.append(_nothing(entry.name, f"not in the folder ({entry.path})"))
        elif entry.read is None:
            rows.append(_nothing(entry.name, entry.why))
        else:
            problem = entry.read(folder / entry.path)

            def tell(done: int, steps: int, words: str, number: int = number) -> None:
                if progress:
                    progress(number, len(SETS), f"{words} ({done} of {steps})")

            rows += survey_problem(
                problem, entry.name, sizes=sizes, directions=directions, threshold=threshold, seed=seed, progress=tell
            )
    return SurveyRecord(rows=tuple(rows), directions=directions, threshold=threshold, seed=seed)


def _nothing(name: str, why: str) -> SurveyRow:
    return SurveyRow(
        data=name, rows=0, inputs=0, tasks=0, size=0, width=0, subsets=0, holds=0, fails=0, open=0, undetermined=0,
        single_point=0, margin=None, stake=None, matter=0, worst=(), note=why,
    )  # fmt: skip


def survey_problem(
    problem: LinearProblem,
    name: str,
    *,
    sizes: Sequence[int] = (3, 4),
    directions: int = 7,
    threshold: float = 0.01,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[SurveyRow]:
    """The rows of one table; arguments as for `survey`.

    What is at stake in a subset is the largest delta over single models on its front: Tchebycheff points for equal
    weights on the losses (the balanced point) and for seeded random directions of excess losses. A lower bound of the
    largest over the whole front.
    """
    if directions < 1 or not 0 < threshold < 1 or any(size < 3 for size in sizes):
        raise SettingError(
            f"directions must be at least 1, threshold between 0 and 1, sizes at least 3; found {directions}, "
            f"{threshold}, {list(sizes)}"
        )
    shares = in_shares(problem)
    notes = "; ".join(note for note in problem.warnings if "inputs for" in note)
    rows = []
    for size in sizes:
        if size > len(problem.tasks):
            continue
        for width in range(1, size):
            statuses: dict[str, int] = {}
            margins, stakes = [], []
            total = comb(len(problem.tasks), size)
            for number, subset in enumerate(combinations(range(len(problem.tasks)), size)):
                if progress and number % 10 == 0:
                    progress(number, total, f"{name}: {size} tasks, width {width}")
                gramian = shares.gramian[np.ix_(subset, subset)]
                found = condition(gramian, width)
                statuses[found.status] = statuses.get(found.status, 0) + 1
                if found.status == "fails":
                    margins.append(found.margin)
                if found.status in {"fails", "open"}:
                    generator = np.random.default_rng((seed, *subset))
                    stake = _stake(gramian, shares.unexplained[list(subset)], width, directions, generator)
                    stakes.append((stake, subset))
            leads = [stake for stake, _ in stakes]
            worst = max(stakes, default=(0.0, ()))
            rows.append(
                SurveyRow(
                    data=name,
                    rows=problem.rows,
                    inputs=problem.inputs,
                    tasks=len(problem.tasks),
                    size=size,
                    width=width,
                    subsets=total,
                    holds=statuses.get("holds", 0),
                    fails=statuses.get("fails", 0),
                    open=statuses.get("open", 0),
                    undetermined=statuses.get("undetermined", 0),
                    single_point=statuses.get("single point", 0),
                    margin=(float(np.median(margins)), max(margins)) if margins else None,
                    stake=(float(np.median(leads)), max(leads)) if leads else None,
                    matter=sum(lead > threshold for lead in leads),
                    worst=tuple(problem.tasks[i] for i in worst[1]) if worst[0] > 1e-6 else (),
                    note=notes,
                )
            )
    return rows


def _stake(gramian: Array, unexplained: Array, width: int, directions: int, generator: np.random.Generator) -> float:
    """Largest lead of a mixture over the single models judged, in shares of variance."""
    tasks = len(gramian)
    if width >= effective_rank(gramian):
        return 0.0
    largest = 0.0
    for number in range(directions):
        weights = np.ones(tasks) if number == 0 else generator.dirichlet(np.full(tasks, 3.0))
        # where the single model is a bracket only, its upper end is a model all the same
        point = tchebycheff(gramian, weights, width, -unexplained if number == 0 else None, random_starts=2)
        if point.value - point.mixture_value <= 1e-9:
            continue  # a mixture is no better here: the point is supported
        lead = minimal_mixture(gramian, width, point.captured, np.ones(tasks)).lead
        largest = max(largest, lead)
    return largest
