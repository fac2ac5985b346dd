"""Soups of several trained models, measured, and beside each the mixture of the same models."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..core.numbers import Array, is_whole, real_numbers
from ..core.simplex_points import lattice
from ..core.tasks import Preference
from ..errors import DataError, InputError, SettingError, listed
from ..linear.pools.pool_mixture import mixture
from ..methods.averaging.batch_norm import layers_with_statistics, reestimate_statistics
from ..training.loop.evaluation import evaluate
from ..training.loop.feeding import walk
from ..training.problem.problem import Problem
from .mixture_model import MixtureModel

__all__ = ["Soups", "interpolate", "soup"]


@dataclass(frozen=True, eq=False)
class Soups:
    """Interpolated models and mixtures of m trained models, on the same shares.

    Attributes:
        members: The m models, in evaluation mode.
        tasks: Names of the k tasks.
        part: Part of the data on which losses were measured.
        rows: Task -> number of labelled rows of that part.
        shares: (p, m) shares of the models, sum 1.
        soups: (p, k) measured losses of the models whose parameters are the means with these shares.
        mixtures: (p, k) expected losses of the mixtures that draw a member with these probabilities:
            ``shares @ losses of the members``, exact for the measured losses.
    """

    members: tuple[nn.Module, ...]
    tasks: tuple[str, ...]
    part: str
    rows: dict[str, int]
    shares: Array
    soups: Array
    mixtures: Array

    @property
    def barrier(self) -> Array:
        """(k,) largest excess of a soup's loss over the mixture's of the same shares; negative where all gain."""
        return np.asarray((self.soups - self.mixtures).max(axis=0))

    def mixture(self, preference: Preference, *, seed: int = 0) -> MixtureModel:
        """The mixture of the members that serves a preference best, as a model.

        Args:
            preference: What is wanted; kinds as in `equipoise.linear.mixture`.
            seed: Seed of the draws.
        """
        pool = self.mixtures[self.shares.max(axis=1) == 1]
        best = mixture(pool, preference, tasks=self.tasks)
        return MixtureModel(self.members, best.probabilities, losses=pool, tasks=self.tasks, seed=seed)


def interpolate(
    models: Sequence[nn.Module],
    problem: Problem,
    *,
    divisions: int = 10,
    part: str | None = None,
    device: str | torch.device = "cpu",
) -> Soups:
    r"""Losses of the interpolations of trained models, beside those of their mixtures.

    A soup has the parameters :math:`\sum_j a_j \theta_j` and no guarantee: between models of different starts its
    losses may be far above both ends. The mixture draws member j with probability :math:`a_j` for each request; its
    expected losses are :math:`\sum_j a_j L_j` for any models. Running statistics of batch normalisation belong to no
    mean of parameters, so they are measured anew on the training part.

    Args:
        models: Two or more models of one structure.
        problem: Problem whose losses are measured; its `make_model` is not called.
        divisions: Number of steps from one model to another; shares are the multiples of 1/divisions.
        part: Part of the data to measure on; ``val`` if None and there is one, else ``train``.
        device: Device to measure on.

    Returns:
        Shares, and the losses of soups and mixtures at each.

    Raises:
        InputError: Models of different structures.
        SettingError: Less than two models, an unknown part, or divisions out of range.
        DataError: A member's loss that is not finite.

    Cost:
        One copy of the model and one evaluation for each share, of which there are
        C(divisions + m - 1, m - 1); with batch normalisation a pass over the training part besides.

    Source:
        Wortsman et al. (2022), arXiv:2203.05482; Rame et al. (2023), arXiv:2306.04488. The mixtures beside are ours.

    Example:
        >>> import equipoise as eq
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> losses = {"up": lambda out, batch: (out - batch[0]) ** 2, "down": lambda out, batch: (out + batch[0]) ** 2}
        >>> problem = eq.Problem(lambda: nn.Linear(1, 1), losses, train=(x,))
        >>> up, down = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> for model, slope in ((up, 1.0), (down, -1.0)):
        ...     _ = nn.init.constant_(model.weight, slope), nn.init.zeros_(model.bias)
        >>> found = interpolate([up, down], problem, divisions=2)
        >>> found.soups.round(2).tolist(), found.mixtures.round(2).tolist()
        ([[0.0, 1.38], [0.34, 0.34], [1.38, 0.0]], [[0.0, 1.38], [0.69, 0.69], [1.38, 0.0]])
    """
    chosen = ("val" if "val" in problem.sources else "train") if part is None else part
    if len(models) < 2 or not is_whole(divisions, least=1) or chosen not in problem.sources:
        raise SettingError(
            "`interpolate` needs at least two models, `divisions` of at least 1 and a part among "
            f"{listed(problem.sources)}; got {len(models)} models, divisions={divisions!r}, part={part!r}."
        )
    _refuse_differing(models)
    place = torch.device(device)
    members = tuple(copy.deepcopy(model).to(place).eval() for model in models)
    shares = lattice(len(members), divisions)
    norms, train = bool(layers_with_statistics(members[0])), problem.sources["train"]
    losses, rows = [], {}
    for row in shares:
        model = soup(members, row)
        if norms and row.max() < 1:
            batches = walk(train, problem.evaluation_rows, place)
            reestimate_statistics(model, batches, lambda net, batch: problem.outputs(net, batch.data))
        seen = evaluate(problem, model.eval(), problem.sources[chosen], place)
        losses.append([np.nan if seen.losses[task] is None else seen.losses[task] for task in problem.tasks])
        rows = seen.rows
    soups = np.array(losses, dtype=np.float64)
    ends = soups[[int(np.flatnonzero(shares[:, member] == 1)[0]) for member in range(len(members))]]
    if not np.isfinite(ends).all():
        bad = [task for i, task in enumerate(problem.tasks) if not np.isfinite(ends[:, i]).all()]
        raise DataError(f"the models' losses on `{chosen}` must be finite; those of {listed(bad)} are not.")
    return Soups(members, problem.tasks, chosen, rows, shares, soups, shares @ ends)


def soup(models: Sequence[nn.Module], shares: ArrayLike) -> nn.Module:
    """A copy of the first model with the mean of the models' parameters; running statistics are means as well.

    Statistics of batch normalisation must be measured anew before the model is used; `interpolate` does that. Whole
    numbers are those of the first model with a positive share; a model with all the share is copied as it is.

    Args:
        models: Models of one structure.
        shares: Non-negative numbers of sum 1, one a model.

    Raises:
        InputError: Models of different structures.
        SettingError: Shares that do not fit.
    """
    weights = real_numbers(shares, "`shares`", SettingError, "pass one number a model")
    if (
        not len(models)
        or weights.shape != (len(models),)
        or weights.min() < 0
        or not abs(float(weights.sum()) - 1) <= 1e-6
    ):
        raise SettingError(
            f"`shares` must be non-negative numbers of sum 1, one for each of the {len(models)} models; got "
            f"{weights.tolist()}."
        )
    _refuse_differing(models)
    used = [(float(share), model) for share, model in zip(weights, models, strict=True) if share > 0]
    made = copy.deepcopy(used[0][1])
    if len(used) == 1:
        return made
    states = [model.state_dict() for _, model in used]
    with torch.no_grad():
        for name, value in made.state_dict().items():
            if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
                continue
            wide = torch.promote_types(value.dtype, torch.float64)
            total = sum((share * state[name].to(wide) for (share, _), state in zip(used, states, strict=True)))
            value.copy_(torch.as_tensor(total).to(value))
    return made


def _refuse_differing(models: Sequence[nn.Module]) -> None:
    """Raise where the states differ in names, shapes or types, or in whole numbers other than counters."""
    odd = [type(model).__name__ for model in models if not isinstance(model, nn.Module)]
    if odd:
        raise InputError(f"each of `models` must be a torch.nn.Module; found {listed(odd)}.")
    first = models[0].state_dict()
    differing = []
    for model in models[1:]:
        state = model.state_dict()
        differing += [name for name in sorted(first.keys() | state.keys()) if not _alike(name, first, state)]
    if differing:
        raise InputError(
            f"only models of one structure can be interpolated; {listed(dict.fromkeys(differing[:5]))} differ in name, "
            "shape, type or whole numbers. A mixture (eq.MixtureModel) takes any models."
        )


def _alike(name: str, first: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    if name not in first or name not in other:
        return False
    one, two = first[name], other[name]
    if not isinstance(one, Tensor) or not isinstance(two, Tensor):
        return type(one) is type(two)
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    counts = one.is_floating_point() or one.is_complex() or name.endswith("num_batches_tracked")
    return counts or torch.equal(one.cpu(), two.cpu())
