"""The survey: on every table and every 3- and 4-task subset, how often the condition fails, and what is at stake."""

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from ...core.numbers import Array
from ...core.progress import Progress
from ...core.records.studies import SurveyRecord, SurveyRow
from ...errors import DataError, SettingError
from ...linear import LinearProblem, condition, minimal_mixture, tchebycheff
from ...linear.problem.gramian import effective_rank
from ..parts import unfinished
from ..widths.optima import Shares, in_shares
from .survey_sets import find_sets

__all__ = ["MOST_SUBSETS", "survey", "survey_problem"]

Kept = MutableMapping[str, Any]
Subset = tuple[int, ...]

MOST_SUBSETS = 1000
"""Most subsets of one size that are judged in one table; where there are more, this number is drawn at random."""


@dataclass(frozen=True)
class _Set:
    """What judging the subsets of one table needs."""

    key: str  # begins the names of its parts
    name: str
    shares: Shares
    inputs: int
    note: str  # what to doubt


@dataclass(frozen=True)
class _Settings:
    sizes: tuple[int, ...]
    directions: int
    threshold: float
    seed: int
    most: int

    def __post_init__(self) -> None:
        wrong = self.directions < 1 or not 0 < self.threshold < 1 or self.most < 1 or any(s < 3 for s in self.sizes)
        if wrong:
            raise SettingError(
                "directions and most must be at least 1, threshold between 0 and 1, sizes at least 3; found "
                f"{self.directions}, {self.most}, {self.threshold}, {list(self.sizes)}"
            )


def survey(
    folder: Path,
    *,
    targets: Mapping[str, Sequence[str]] | None = None,
    sizes: Sequence[int] = (3, 4),
    directions: int = 7,
    threshold: float = 0.01,
    seed: int = 0,
    most: int = MOST_SUBSETS,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> SurveyRecord:
    """How often weighted sums cannot reach the whole front of a linear model, over the tables of a folder.

    Args:
        folder: Folder with tables, in folders or not. Public sets that `survey_sets.KNOWN` names need nothing more.
        targets: Path below the folder -> target columns. A table without is listed with a note.
        sizes: Numbers of tasks in a subset.
        directions: Tchebycheff points judged in each subset that fails or is open; the first is the balanced one.
        threshold: Share of variance above which a lead matters.
        seed: Seed of the directions, and of the subsets where not all are judged.
        most: Most subsets of one size judged in one table; where there are more, this number is drawn and noted.
        kept: Finished parts, one a subset, which are not computed again; new ones are put in.
        progress: Called with (subsets done, all, words).

    Returns:
        One row a set, subset size and width. A table that cannot be read has one row with a note that says why.

    Raises:
        DataError: There is no table, or targets are named for one that is not there.
        SettingError: A setting out of range.
    """
    settings = _Settings(tuple(sizes), directions, threshold, seed, most)
    entries = find_sets(folder, targets or {})
    sets: list[_Set | SurveyRow] = []
    for number, entry in enumerate(entries):
        if progress:
            progress(0, 0, f"reading {entry.name} ({number + 1} of {len(entries)} tables)")
        if entry.read is None:
            sets.append(_nothing(entry.name, entry.why))
            continue
        try:
            problem = entry.read(entry.path)
        except DataError as error:
            sets.append(_nothing(entry.name, f"cannot be read: {error}"))
            continue
        if len(problem.tasks) < 3:
            sets.append(_nothing(entry.name, "two tasks: the condition never fails (proved)"))
            continue
        key = hashlib.sha256(entry.path.read_bytes()).hexdigest()[:16] + repr(problem.tasks)
        sets.append(_small(problem, entry.name, hashlib.sha256(key.encode()).hexdigest()[:16]))
    judged = _judge([one for one in sets if isinstance(one, _Set)], settings, {} if kept is None else kept, progress)
    rows: list[SurveyRow] = []
    for one in sets:
        rows += [one] if isinstance(one, SurveyRow) else _rows(one, settings, judged)
    return SurveyRecord(rows=tuple(rows), directions=directions, threshold=threshold, seed=seed)


def survey_problem(
    problem: LinearProblem,
    name: str,
    *,
    sizes: Sequence[int] = (3, 4),
    directions: int = 7,
    threshold: float = 0.01,
    seed: int = 0,
    most: int = MOST_SUBSETS,
    progress: Progress | None = None,
) -> list[SurveyRow]:
    """The rows of one table; arguments as for `survey`.

    What is at stake in a subset is the largest delta over single models on its front: Tchebycheff points for equal
    weights on the excess losses (the balanced point) and for seeded random directions. A lower bound of the largest
    over the whole front.
    """
    settings = _Settings(tuple(sizes), directions, threshold, seed, most)
    small = _small(problem, name, "")
    return _rows(small, settings, _judge([small], settings, {}, progress))


def _nothing(name: str, why: str) -> SurveyRow:
    return SurveyRow(
        data=name, rows=0, inputs=0, tasks=0, size=0, width=0, subsets=0, holds=0, fails=0, open=0, undetermined=0,
        single_point=0, margin=None, stake=None, matter=0, worst=(), note=why,
    )  # fmt: skip


def _small(problem: LinearProblem, name: str, key: str) -> _Set:
    notes = "; ".join(note for note in problem.warnings if "inputs for" in note)
    return _Set(key, name, in_shares(problem), problem.inputs, notes)


def _subsets(tasks: int, size: int, settings: _Settings) -> list[Subset]:
    """All subsets, or `most` different ones drawn at random, in order."""
    if comb(tasks, size) <= settings.most:
        return list(combinations(range(tasks), size))
    generator = np.random.default_rng((settings.seed, tasks, size))
    drawn: set[Subset] = set()
    while len(drawn) < settings.most:
        drawn.add(tuple(sorted(int(task) for task in generator.choice(tasks, size, replace=False))))
    return sorted(drawn)


def _part(one: _Set, width: int, subset: Subset) -> str:
    return f"{one.key}:{width}:{','.join(map(str, subset))}"


def _work(sets: Sequence[_Set], settings: _Settings) -> Iterator[tuple[_Set, int, Subset]]:
    for one in sets:
        for size in settings.sizes:
            for width in range(1, size):
                for subset in _subsets(len(one.shares.tasks), size, settings) if size <= len(one.shares.tasks) else ():
                    yield one, width, subset


def _judge(sets: Sequence[_Set], settings: _Settings, kept: Kept, progress: Progress | None) -> Kept:
    """Every part: status, margin and stake (None where nothing is at stake) of a subset at a width."""

    def words(item: tuple[_Set, int, Subset]) -> str:
        return f"{item[0].name}: {len(item[2])} tasks, width {item[1]}"

    work = {_part(*item): item for item in _work(sets, settings)}
    for name, (one, width, subset) in unfinished(work, kept, progress, words):
        gramian = one.shares.gramian[np.ix_(subset, subset)]
        found = condition(gramian, width)
        stake = None
        if found.status in {"fails", "open"}:
            generator = np.random.default_rng((settings.seed, *subset))
            stake = _stake(gramian, width, settings.directions, generator)
        kept[name] = [found.status, float(found.margin), stake]
    return kept


def _rows(one: _Set, settings: _Settings, judged: Mapping[str, Any]) -> list[SurveyRow]:
    names, rows = one.shares.tasks, []
    for size in settings.sizes:
        if size > len(names):
            continue
        subsets = _subsets(len(names), size, settings)
        all_of_them = comb(len(names), size)
        drawn = f"{len(subsets):,} of {all_of_them:,} subsets, drawn at random" if len(subsets) < all_of_them else ""
        for width in range(1, size):
            found = [(subset, *judged[_part(one, width, subset)]) for subset in subsets]
            statuses = [status for _, status, _, _ in found]
            margins = [margin for _, status, margin, _ in found if status == "fails"]
            stakes = [(stake, subset) for subset, _, _, stake in found if stake is not None]
            leads = [stake for stake, _ in stakes]
            worst = max(stakes, default=(0.0, ()))
            rows.append(
                SurveyRow(
                    data=one.name,
                    rows=one.shares.rows,
                    inputs=one.inputs,
                    tasks=len(names),
                    size=size,
                    width=width,
                    subsets=len(subsets),
                    holds=statuses.count("holds"),
                    fails=statuses.count("fails"),
                    open=statuses.count("open"),
                    undetermined=statuses.count("undetermined"),
                    single_point=statuses.count("single point"),
                    margin=(float(np.median(margins)), max(margins)) if margins else None,
                    stake=(float(np.median(leads)), max(leads)) if leads else None,
                    matter=sum(lead > settings.threshold for lead in leads),
                    worst=tuple(names[i] for i in worst[1]) if worst[0] > 1e-6 else (),
                    note="; ".join(part for part in (drawn, one.note) if part),
                )
            )
    return rows


def _stake(gramian: Array, width: int, directions: int, generator: np.random.Generator) -> float:
    """Largest lead of a mixture over the single models judged, in shares of variance."""
    tasks = len(gramian)
    if width >= effective_rank(gramian):
        return 0.0
    largest = 0.0
    for number in range(directions):
        weights = np.ones(tasks) if number == 0 else generator.dirichlet(np.full(tasks, 3.0))
        # where the single model is a bracket only, its upper end is a model all the same
        point = tchebycheff(gramian, weights, width, random_starts=2)
        if point.value - point.mixture_value <= 1e-9:
            continue  # a mixture is no better here: the point is supported
        lead = minimal_mixture(gramian, width, point.captured, np.ones(tasks)).lead
        largest = max(largest, lead)
    return largest
