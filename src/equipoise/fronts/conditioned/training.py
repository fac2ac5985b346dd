"""Training one model for all preferences on the data of a `Problem`."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import moocore
import numpy as np
import torch
from torch import nn

from ...core.numbers import Array, is_whole
from ...core.progress import Progress
from ...core.simplex_points import lattice_of, sobol_points
from ...core.tasks import PerTask, Tasks
from ...errors import NonFiniteError, SettingError, listed
from ...methods.averaging.batch_norm import layers_with_statistics
from ...training.loop.evaluation import evaluate
from ...training.loop.feeding import walk
from ...training.loop.settings import make_optimizer
from ...training.problem.problem import Problem
from ...training.problem.sources import Items, Loader, Source
from ...training.resuming.randomness import own_generators
from ..indicators.adherence import controllability
from .conditioned_model import Conditioned, Form
from .criterion import Criterion, CriterionName
from .step_losses import Deal, StepLosses

__all__ = ["ConditionedFront", "fit_conditioned"]


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
        together: Preferences a step.
        passes: Forward passes a step: 1 where the rows of a batch were under preferences of their own.
        why: Reason for a pass for each preference; empty where one served all.
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
    together: int
    passes: int
    why: str
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
    """Train one model for all preferences: each step draws several, and the front is measured at the end.

    The rows of a batch are dealt in equal parts to the preferences of the step, in one forward pass where the model
    allows it: with one preference a step, its choice is most of the noise of the gradient. Preferences are a sequence
    of low discrepancy from the Dirichlet distribution of concentration 1/2, which prefers the ends of the front. The
    criteria are in the table of `Criterion`: a weighted sum is blind to the concave parts of a front, the others are
    not.

    Args:
        problem: Model, losses and data.
        steps: Number of optimizer steps, at least 1.
        batch_size: Most rows a step; None for all. A loader has its own, and is asked for a batch for each pass.
        rank: Rank of the adapters.
        form: Way in which a preference acts on the layers; see `Conditioned`.
        layers: Prefixes of the names of the layers to adapt; None for all.
        criterion: What a step descends, ``"tchebycheff"``, ``"smooth"``, ``"linear"`` or ``"hypervolume"``.
        together: Preferences a step. 8 by default where one pass serves them; 2, each with a pass of its part of the
            rows, where it doesn't (1 with a loader, or with all rows a step); 4 for the hypervolume, each with a pass
            of the whole batch, because its weights compare the preferences' losses.
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
        A step is one forward and one backward pass of `batch_size` rows, in `passes` pieces; for the hypervolume
        `together` times that. Adapters add products of a few columns.

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
    joint = criterion == "hypervolume"
    least = {"steps": (steps, 1), "points": (points, 3)}
    if together is not None:
        least["together"] = (together, 2 if joint else 1)
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
        trained = make_optimizer(optimizer or _adamw, model, [])
        rates = [float(group["lr"]) for group in trained.param_groups]
        model.train()
        deal = Deal(problem, model, lies, batch_size, together, whole=joint, seed=seed, device=place)
        drawn = sobol_points(k, steps * deal.together, concentration=0.5, seed=seed).reshape(steps, -1, k)
        empty = 0
        for step in range(steps):
            for group, rate in zip(trained.param_groups, rates, strict=True):
                group["lr"] = rate * (1.0 if schedule is None else schedule(step / steps))
            found = deal.losses(drawn[step])
            empty += not _step(problem.tasks, found, drawn[step], rule, trained, step / steps)
            if progress is not None and ((step + 1) % max(1, steps // 100) == 0 or step + 1 == steps):
                progress(step + 1, steps, "")
        model.prefer([1 / k] * k)
        model.eval()
        where = lattice_of(k, points)
        losses, rows = _measure(problem, model, where, lies, place)
    judged = next(iter(losses.values()))
    fine = bool(np.isfinite(judged).all())
    kept = moocore.is_nondominated(judged, keep_weakly=True) if fine else np.zeros(0)
    return ConditionedFront(
        model=model,
        tasks=problem.tasks,
        preferences=where,
        losses=losses,
        rows=rows,
        controllability=controllability(where, judged) if fine else np.full(k, np.nan),
        dominated=float(1 - np.mean(kept)) if fine else float("nan"),
        parameters=(model.plain_parameters + model.added_parameters, model.plain_parameters),
        steps=steps,
        empty=empty,
        together=deal.together,
        passes=deal.together if deal.why else 1,
        why=deal.why,
        seconds=time.perf_counter() - began,
    )


def _measure(
    problem: Problem, model: Conditioned, where: Array, lies: Source, device: torch.device
) -> tuple[dict[str, Array], dict[str, dict[str, int]]]:
    """Losses of the plain models at some preferences, and labelled rows, on the parts that are measured."""
    parts = ["val" if "val" in problem.sources else "train", *(["test"] if "test" in problem.sources else [])]
    losses = {part: np.full((len(where), len(problem.tasks)), np.nan) for part in parts}
    rows: dict[str, dict[str, int]] = {}
    norms = bool(layers_with_statistics(model))
    for place, preference in enumerate(where):
        batches = walk(lies, problem.evaluation_rows, device) if norms else None
        single = model.at(preference.tolist(), batches, lambda net, batch: problem.outputs(net, batch.data)).eval()
        for part in parts:
            seen = evaluate(problem, single, problem.sources[part], device)
            values = [seen.losses[task] for task in problem.tasks]
            losses[part][place] = [np.nan if value is None else value for value in values]
            rows[part] = seen.rows
    return losses, rows


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW as one call for all tensors: adapters are many and small."""
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)


def _step(
    tasks: tuple[str, ...], found: StepLosses, preferences: Array, rule: Criterion, trained: Any, done: float
) -> bool:
    """One step from losses at some preferences; False where no task had a labelled sample."""
    values = np.full(preferences.shape, np.nan)
    row, task = found.places.T
    values[row, task] = found.losses.detach().double().cpu().numpy()
    bad = sorted(set(task[~np.isfinite(values[row, task])].tolist()))
    if bad:
        raise NonFiniteError(
            f"losses must be finite; those of {listed([tasks[i] for i in bad])} are not, after {done:.1%} of the steps."
        )
    seen = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(seen):
        return False
    weights = np.zeros(preferences.shape)
    weights[seen] = rule.weights(values[seen], preferences[seen], done) / len(seen)
    if not weights.any():
        return False
    trained.zero_grad()
    torch.autograd.backward([(torch.from_numpy(weights[row, task]).to(found.losses) * found.losses).sum()])
    trained.step()
    return True
