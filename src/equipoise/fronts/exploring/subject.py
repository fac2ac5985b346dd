"""What is explored: where the runs of each seed come from, and how they are trained."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.numbers import Array
from ...core.records.audit import DataCard
from ...core.records.explored import ExploredTask
from ...core.records.fitted import FittedTask, SplitCard
from ...errors import DataError, SettingError
from ...problems import BoxProblem, FormulaProblem
from ...training.loop.settings import fingerprint
from ...training.problem.problem import Problem
from ...training.problem.sources import Loader, Rows, Together
from ...training.resuming.randomness import own_generators
from ..sets.starting import random_starts, refuse_constant

__all__ = ["Given", "Subject", "cosine", "of_box", "of_problem"]

_FORMULA_STEPS = 600
_FORMULA_RATE = 0.02  # of the width of the box
_FRONT_POINTS = 201
_TRIALS = 8  # points at which a loss without any slope counts as constant


@dataclass(frozen=True, eq=False)
class Subject:
    """A problem with everything that the runs of all seeds need.

    Attributes:
        words: Problem in words.
        title: Title of the report.
        tasks: One card a task.
        problem_of: Seed -> function that makes the problem, importable in worker processes and with a text of its own.
        settings: Further arguments of `equipoise.fit`.
        judged_on: Part that judges, in words.
        rows: Rows of that part and of the test part; None where there is none.
        asked: Whatever else decides the result, for the folder's configuration.
        budget: What every training gets, in words.
        box: Formula problem, or None.
        plain: Seed -> function that makes the problem with a network that can be conditioned.
        rate: Learning rate of that network's training.
        data, split, sha256: Fields of the record.
        cards: Targets of a table, as ``equipoise fit`` shows them.
        true_front: Points of the known front.
    """

    words: str
    title: str
    tasks: tuple[ExploredTask, ...]
    problem_of: Callable[[int], Callable[[], Problem]]
    settings: Mapping[str, Any]
    judged_on: str
    rows: tuple[int | None, int | None]
    asked: Mapping[str, Any]
    budget: str
    box: BoxProblem | None = None
    plain: Callable[[int], Callable[[], Problem]] | None = None
    rate: float = 3e-3
    data: DataCard | None = None
    split: SplitCard | None = None
    sha256: str = ""
    cards: tuple[FittedTask, ...] = ()
    true_front: tuple[tuple[float, ...], ...] = field(default=())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.name for task in self.tasks)


class Point(nn.Module):
    """One point of a box as a model: its "outputs" are the losses at the point."""

    def __init__(self, problem: BoxProblem) -> None:
        super().__init__()
        self.problem = problem
        self.low, self.high = (torch.from_numpy(np.array(end)) for end in (problem.lower, problem.upper))
        self.place = nn.Parameter(self.low + (self.high - self.low) * torch.rand(problem.parameters).double())

    def forward(self, rows: Tensor) -> Tensor:
        """(1, k) losses; `rows` is a placeholder."""
        del rows
        return self.problem.evaluate(self.place[None])


class BoxAdam(torch.optim.Adam):
    """Adam whose steps end inside the box of a `Point`, in units of the box."""

    def __init__(self, model: Point) -> None:
        self.model = model
        rate = _FORMULA_RATE * float((model.high - model.low).mean())
        super().__init__([model.place], lr=rate, betas=(0.9, 0.99))

    def step(self, closure: Any = None) -> Any:
        """One step, and the projection on the box."""
        found = super().step(closure)
        with torch.no_grad():
            self.model.place.clamp_(self.model.low, self.model.high)
        return found


def _box_optimizer(model: Point) -> BoxAdam:
    return BoxAdam(model)


def _loss(place: int, outputs: Tensor, batch: Any) -> Tensor:
    del batch
    return outputs[0, place]


def cosine(done: float) -> float:
    """Factor on the learning rate at a share of the training: from 1 to 0 along a cosine.

    Example:
        >>> cosine(0.0), round(cosine(0.5), 12), cosine(1.0)
        (1.0, 0.5, 0.0)
    """
    return float(0.5 * (1 + np.cos(np.pi * done)))


def _box_problem(problem: BoxProblem) -> Problem:
    rows = torch.zeros(1, 1)
    losses = {name: partial(_loss, place) for place, name in enumerate(problem.tasks)}
    return Problem(partial(Point, problem), losses, train=(rows,), val=(rows,), name=repr(problem))


def of_box(problem: BoxProblem, steps: int | None) -> Subject:
    """A formula problem: each run descends one point of the box, from a start drawn by its seed.

    Raises:
        LossError: A loss that does not depend on the parameters.
    """
    refuse_constant(problem, random_starts(problem, _TRIALS, 0))
    count = _FORMULA_STEPS if steps is None else steps
    front: Array = problem.front(_FRONT_POINTS) if isinstance(problem, FormulaProblem) else np.zeros((0, 2))
    named = isinstance(problem, FormulaProblem)
    return Subject(
        words=f"{problem!r}: {problem.count} losses of {problem.parameters} parameters in a box"
        + (f" ({problem.source})" if isinstance(problem, FormulaProblem) else ""),
        title=repr(problem) if named else type(problem).__name__,
        tasks=tuple(ExploredTask(name=name, loss="value of the formula") for name in problem.tasks),
        problem_of=lambda seed: Given(partial(_box_problem, problem), f"box {problem!r}" if named else _text(problem)),
        settings={"steps": count, "batch_size": None, "every": max(1, count // 10), "schedule": cosine,
                  "optimizer": _box_optimizer},
        judged_on="the formula itself: there are no data, so nothing is held out",
        rows=(None, None),
        asked={"problem": repr(problem) if named else _text(problem), "steps": count},
        budget=f"{count} steps of Adam in the box, the learning rate falling along a cosine",
        box=problem,
        true_front=tuple(tuple(map(float, row)) for row in front),
    )  # fmt: skip


def _text(problem: BoxProblem) -> str:
    """What a problem without a text of its own is known by: its losses at fixed points of its box."""
    low, high = problem.lower, problem.upper
    places = low + (high - low) * np.random.default_rng(0).random((8, problem.parameters))
    found = hashlib.sha256(problem.losses(places).tobytes() + low.tobytes() + high.tobytes())
    return f"{type(problem).__name__} of {problem.parameters} parameters, {found.hexdigest()[:16]}"


@dataclass(frozen=True, eq=False, repr=False)
class Given:
    """A function that makes the problem, known by a text."""

    make: Callable[[], Problem]
    text: str

    def __call__(self) -> Problem:
        """Make it."""
        return self.make()

    def __repr__(self) -> str:
        return self.text


class _Held:
    """A problem that was given ready-made."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __call__(self) -> Problem:
        return self.problem


def of_problem(
    problem: Problem | Callable[[], Problem], settings: Mapping[str, Any], steps: int | None, epochs: int | None
) -> Subject:
    """A problem of the user's, or an importable function that makes it.

    Raises:
        DataError: It has no validation part.
        SettingError: No number of steps, or settings that explore sets itself.
    """
    built = problem if isinstance(problem, Problem) else problem()
    if not isinstance(built, Problem):
        raise SettingError(f"the function given to explore must return an eq.Problem; got {type(built).__name__}.")
    if "val" not in built.sources:
        raise DataError(
            "explore judges the front on the validation part, so that the test part stays unseen until the choice: "
            "give Problem(..., val=...)."
        )
    chosen = {**settings, **{name: n for name, n in (("steps", steps), ("epochs", epochs)) if n is not None}}
    taken = sorted({"seed", "folder", "select", "preference", "method", "overwrite", "progress"} & set(chosen))
    if taken or ("steps" in chosen) == ("epochs" in chosen):
        raise SettingError(
            "explore needs `steps` or `epochs`, one of the two, and sets the method, the seed, the selection and the "
            f"folder of its runs itself; got {sorted(chosen) or 'none'}."
        )
    content = {part: _content(source) for part, source in built.sources.items()}
    shown = {name: _shown(value) for name, value in sorted(chosen.items())}
    losses = {task: _shown(loss) for task, loss in built.losses.items()}
    text = f"{built.name or 'problem'} of {losses}, {_model_of(built)}, {content}"
    make = _Held(problem) if isinstance(problem, Problem) else problem
    rows = tuple(_rows(built.sources.get(part)) for part in ("val", "test"))
    return Subject(
        words=built.name or f"a problem of {len(built.tasks)} tasks",
        title=built.name or ", ".join(built.tasks[:4]),
        tasks=tuple(
            ExploredTask(name=task, metrics=tuple(metric.name for metric in built.metrics[task]))
            for task in built.tasks
        ),
        problem_of=lambda seed: Given(make, text),
        settings=chosen,
        judged_on="the validation part",
        rows=(rows[0], rows[1]),
        asked={"problem": text, "settings": shown},
        budget=", ".join(f"{name}={value}" for name, value in shown.items()),
        plain=lambda seed: make,
    )


def _content(source: Any) -> str:
    return source.digest() if isinstance(source, Rows | Together) else f"{source.length}, content not looked at"


def _model_of(problem: Problem) -> str:
    """What a model is known by: its layers as they print, and the shapes of its state; not its code."""
    with own_generators(0, torch.device("cpu")):
        model = problem.make_model()
    if not isinstance(model, nn.Module):
        raise SettingError(f"`make_model` must return a torch.nn.Module; it returned {type(model).__name__}.")
    layers = repr(model)
    layers = type(model).__qualname__ if " at 0x" in layers else hashlib.sha256(layers.encode()).hexdigest()[:16]
    return f"{type(model).__qualname__} {layers} {fingerprint(model)[:16]}"


def _rows(source: Any) -> int | None:
    if source is None or isinstance(source, Loader):
        return None
    return int(source.rows.length if isinstance(source, Together) else source.length)


def _shown(value: Any) -> str:
    """A setting in words; a function by its name, a part of one with what it was given."""
    if isinstance(value, partial):
        given = [*map(_shown, value.args), *(f"{name}={_shown(part)}" for name, part in value.keywords.items())]
        return f"{_shown(value.func)}({', '.join(given)})"
    text = repr(value)
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return name if " at 0x" in text else text
