"""Training one model for all preferences on the data of a `Problem`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import moocore
import numpy as np
import torch
from torch import Tensor, nn

from ...core.losses import read_losses
from ...core.numbers import Array, is_whole
from ...core.progress import Progress
from ...core.simplex_points import lattice_of, sobol_points
from ...core.tasks import PerTask, Tasks
from ...errors import NonFiniteError, SettingError, listed
from ...methods.averaging.batch_norm import layers_with_statistics
from ...training.loop.evaluation import EVALUATION_ROWS, evaluate
from ...training.loop.feeding import make_feed, walk
from ...training.loop.settings import make_optimizer
from ...training.problem.problem import Problem
from ...training.problem.sources import Items, Loader
from ...training.resuming.randomness import own_generators
from ..indicators.adherence import controllability
from .conditioned_model import Conditioned, Form
from .criterion import Criterion, CriterionName

__all__ = ["ConditionedFront", "fit_conditioned"]

_CORNER_EVERY = 16  # a corner trains one task only: at every eighth step the others learned less


@dataclass(frozen=True, eq=False)
class ConditionedFront:
    """A trained conditioned model and its losses along the preferences.

    Attributes:
        model: The model; ``model.at(preference)`` is a plain one.
        tasks: Task names in the order of columns.
        preferences: (m, k) shares at which it was measured.
        losses: Part (``val``, or ``train`` where there is no validation part; and ``test``) -> (m, k) mean losses of
            the plain models at these preferences, over labelled rows; NaN where one is not finite.
        rows: Part -> task -> number of labelled rows.
        controllability: (k,) rank correlation of each task's share and its loss, times -1, on the first part; 1 where
            more weight always gives less loss. NaN where a loss is not finite.
        dominated: Share of the preferences whose losses another preference's are at least as good in every task and
            better in one, on the first part.
        parameters: Number of parameters with and without the conditioning.
        steps: Number of optimizer steps.
        empty: Steps without a labelled sample, in which nothing was changed.
        seconds: Wall time of training and measuring.
    """

    model: Conditioned
    tasks: tuple[str, ...]
    preferences: Array
    losses: dict[str, Array]
    rows: dict[str, dict[str, int]]
    controllability: Array
    dominated: float
    parameters: tuple[int, int]
    steps: int
    empty: int
    seconds: float


def fit_conditioned(
    problem: Problem,
    *,
    steps: int,
    batch_size: int | None = 256,
    rank: int = 8,
    form: Form = "adapters",
    layers: list[str] | None = None,
    criterion: CriterionName = "smooth",
    together: int | None = None,
    units: PerTask | None = None,
    ideal: PerTask | None = None,
    reference: PerTask | None = None,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    schedule: Callable[[float], float] | None = None,
    points: int = 21,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> ConditionedFront:
    """Train one model for all preferences: each step draws its own, and the front is measured at the end.

    Preferences come from a Sobol sequence on the simplex, every 16th of them a corner. The criteria are in the table
    of `Criterion`: a weighted sum is blind to the concave parts of a front, the others are not.

    Args:
        problem: Model, losses and data.
        steps: Number of optimizer steps, at least 1.
        batch_size: Most rows a step; None for all. A loader has its own.
        rank: Rank of the adapters.
        form: Way in which a preference acts on the layers; see `Conditioned`.
        layers: Prefixes of the names of the layers to adapt; None for all.
        criterion: What a step descends, ``"tchebycheff"``, ``"smooth"``, ``"linear"`` or ``"hypervolume"``.
        together: Preferences a step, each with a forward pass; 1 by default, 4 for the hypervolume.
        units: Units of the losses, positive, such as the single-task losses; 1 each if None.
        ideal: Lowest losses to measure from; the lowest batch losses seen if None.
        reference: Reference point of the hypervolume, required there: losses that are just not acceptable.
        optimizer: Function of the model that returns its optimizer, or an optimizer class; AdamW with learning rate
            1e-3, fused on CPU and CUDA, if None.
        schedule: ``schedule(fraction) -> factor`` of the learning rates.
        points: Number of preferences at which the front is measured, at least 3.
        seed: Seed of initialisation, data order and preferences. The caller's generators are put back.
        device: Device to train on; the one that `make_model` puts the model on if None.
        progress: Called about every hundredth of the steps with steps done, steps in all, and words.

    Returns:
        The model and its measured front. Where the model has batch normalisation, its statistics are measured on the
        training part for each preference.

    Raises:
        SettingError: Settings out of range, or a model without a layer to adapt.
        LossError: A loss is no scalar, or leads to no parameter.
        NonFiniteError: A loss is NaN or infinite.

    Cost:
        A step is `together` forward passes and one backward pass through them; adapters add their small products.

    Example:
        >>> import equipoise as eq
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> problem = eq.Problem(
        ...     lambda: nn.Linear(1, 1),
        ...     {"up": lambda out, batch: (out - batch[0]) ** 2, "down": lambda out, batch: (out + batch[0]) ** 2},
        ...     train=(x,),
        ... )
        >>> found = fit_conditioned(problem, steps=300, rank=1, criterion="linear", points=5,
        ...                         optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.02))
        >>> found.dominated, found.controllability.tolist(), found.parameters
        (0.0, [1.0, 1.0], (8, 2))
    """
    began = time.perf_counter()
    k = len(problem.tasks)
    count = (4 if criterion == "hypervolume" else 1) if together is None else together
    least = {"steps": (steps, 1), "points": (points, 3), "together": (count, 2 if criterion == "hypervolume" else 1)}
    wrong = [
        f"{name}={value!r} (at least {low})"
        for name, (value, low) in {**least, "seed": (seed, 0)}.items()
        if not is_whole(value, least=low)
    ]
    wrong += [f"criterion={criterion!r} (one of {listed(get_args(CriterionName))})"] * (
        criterion not in get_args(CriterionName)
    )
    if wrong:
        raise SettingError(f"settings of fit_conditioned are out of range: {'; '.join(wrong)}.")
    names = Tasks(problem.tasks)
    unit, lowest, corner = (
        None if given is None else np.asarray(names.vector(given, argument).numpy())
        for given, argument in ((units, "units"), (ideal, "ideal"), (reference, "reference"))
    )
    if unit is not None and unit.min() <= 0:
        raise SettingError(f"`units` must be positive, one a task; got {units!r}.")
    if criterion == "hypervolume" and corner is None:
        raise SettingError(
            "criterion='hypervolume' needs `reference`: losses that are just not acceptable, one a task."
        )
    rule = Criterion(criterion, np.ones(k) if unit is None else unit, lowest, corner, seed)
    with own_generators(int(seed), torch.device(device or "cpu")):
        plain = problem.make_model()
        if not isinstance(plain, nn.Module):
            raise SettingError(f"`make_model` must return a torch.nn.Module; it returned {type(plain).__name__}.")
        model = Conditioned(plain, problem.tasks, rank=rank, form=form, layers=layers)
        place = torch.device(device or next(model.parameters()).device)
        model.to(place)
        train = problem.sources["train"]
        lies = train if isinstance(train, Items | Loader) else train.to(place)
        feed = make_feed(lies, batch_size, seed, place)
        trained = make_optimizer(optimizer or _adamw, model, [])
        rates = [float(group["lr"]) for group in trained.param_groups]
        drawn = _preferences(k, steps * count, seed).reshape(steps, count, k)
        model.train()
        empty = 0
        for step in range(steps):
            for group, rate in zip(trained.param_groups, rates, strict=True):
                group["lr"] = rate * (1.0 if schedule is None else schedule(step / steps))
            empty += not _step(problem, model, feed.batch(step), drawn[step], rule, trained, step / steps)
            if progress is not None and ((step + 1) % max(1, steps // 100) == 0 or step + 1 == steps):
                progress(step + 1, steps, "")
        model.prefer([1 / k] * k)
        model.eval()
        where = lattice_of(k, points)
        parts = ["val" if "val" in problem.sources else "train", *(["test"] if "test" in problem.sources else [])]
        found: dict[str, list[list[float]]] = {part: [] for part in parts}
        rows: dict[str, dict[str, int]] = {}
        norms = bool(layers_with_statistics(model))
        for preference in where:
            batches = walk(lies, EVALUATION_ROWS, place) if norms else None
            single = model.at(preference.tolist(), batches, lambda net, batch: problem.outputs(net, batch.data)).eval()
            for part in parts:
                seen = evaluate(problem, single, problem.sources[part], place)
                values = [seen.losses[task] for task in problem.tasks]
                found[part].append([np.nan if value is None else value for value in values])
                rows[part] = seen.rows
    losses = {part: np.array(values) for part, values in found.items()}
    first = losses[parts[0]]
    fine = bool(np.isfinite(first).all())
    kept = moocore.is_nondominated(first, keep_weakly=True) if fine else np.zeros(0)
    return ConditionedFront(
        model=model,
        tasks=problem.tasks,
        preferences=where,
        losses=losses,
        rows=rows,
        controllability=controllability(where, first) if fine else np.full(k, np.nan),
        dominated=float(1 - np.mean(kept)) if fine else float("nan"),
        parameters=(model.plain_parameters + model.added_parameters, model.plain_parameters),
        steps=steps,
        empty=empty,
        seconds=time.perf_counter() - began,
    )


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as one call for all tensors: adapters are many and small."""
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)


def _step(
    problem: Problem, model: Conditioned, batch: Any, preferences: Array, rule: Criterion, trained: Any, done: float
) -> bool:
    """One step at some preferences; False where no task had a labelled sample."""
    tasks = problem.tasks
    values = np.full(preferences.shape, np.nan)
    losses: list[Tensor] = []
    for row, preference in enumerate(preferences):
        model.prefer(preference.tolist())
        found = problem.losses_of(problem.outputs(model, batch.data), batch)
        if all(loss is None for loss in found.values()):
            return False
        present, some = read_losses(found, tasks, differentiable=True)
        values[row, present] = [float(loss.detach()) for loss in some]
        bad = [tasks[i] for i in present if not np.isfinite(values[row, i])]
        if bad:
            raise NonFiniteError(
                f"losses must be finite; those of {listed(bad)} are not, after {done:.1%} of the steps."
            )
        losses.append(torch.stack([loss.reshape(()).double() for loss in some]))
    weights = rule.weights(values, preferences, done) / len(preferences)
    if not weights.any():  # a corner whose task is absent
        return False
    trained.zero_grad()
    factors = torch.from_numpy(weights[:, present]).to(losses[0])
    torch.autograd.backward([(factors * torch.stack(losses)).sum()])
    trained.step()
    return True


def _preferences(k: int, size: int, seed: int) -> Array:
    """Sobol points of the simplex; every 16th is a corner, in turn."""
    points = sobol_points(k, size, seed=seed)
    places = np.arange(_CORNER_EVERY - 1, size, _CORNER_EVERY)
    points[places] = np.eye(k)[np.arange(len(places)) % k]
    return points
