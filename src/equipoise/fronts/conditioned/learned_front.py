"""The whole front of a problem in a box, as one network from preferences to parameters."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ...core.numbers import Array, is_whole, real_numbers
from ...core.simplex_points import sobol_points
from ...errors import PreferenceError, SettingError
from ...problems import BoxProblem
from ..indicators.volume_gradient import layered_gradient
from ..sets.criteria import Scale, tchebycheff_weights, unit_rows
from ..sets.descent import refuse_nonfinite
from ..sets.starting import problem_of
from .preference_weights import refuse_off_simplex

__all__ = ["LearnedFront", "learn_front"]

_BATCH, _SHARPEST, _SOFTEST = 64, 0.005, 0.1
_JOINT = 0.5  # share of the steps in which the batch is pushed by its hypervolume
_RATE = 3e-3
_EDGE = 1e-4  # smallest proportion of a ray
_ENDS = 8.0  # weight of the ends of the front against the points between them
_STEEPEST = 2.0  # largest gradient of a point, over the range of the losses and the width of the box
_WAVES = 4
_DENSE = 2001


@dataclass(frozen=True, eq=False)
class LearnedFront:
    """A front as a function of the preference.

    Attributes:
        problem: Problem whose front it is.
        network: Module from rays to parameters before the projection on the box.
        steps: Number of steps of its training.
    """

    problem: BoxProblem
    network: nn.Module
    steps: int
    _spacing: Array | None = field(default=None, repr=False)

    def parameters(self, preferences: ArrayLike) -> Array:
        """Parameters for preferences: (K, k) rows of the simplex -> (K, n), inside the box.

        Raises:
            PreferenceError: A row that is not k non-negative numbers of sum 1.
        """
        k = self.problem.count
        rows = real_numbers(preferences, "`preferences`", PreferenceError, "pass one row of weights a preference")
        if rows.ndim != 2 or rows.shape[1] != k or not len(rows):
            raise PreferenceError(f"`preferences` must have shape (K, {k}), one row a preference; got {rows.shape}.")
        refuse_off_simplex(rows)
        rays = _rays(rows)
        if self._spacing is not None:
            place = np.interp(rows[:, 0], np.linspace(0.0, 1.0, len(self._spacing)), self._spacing)
            rays = np.stack([1 - place, place], axis=1)
        with torch.no_grad():
            return np.asarray(_points(self.problem, self.network, rays).numpy())

    def losses(self, preferences: ArrayLike) -> Array:
        """(K, k) losses at `parameters(preferences)`."""
        return self.problem.losses(self.parameters(preferences))


def learn_front(problem: BoxProblem | str, steps: int = 2000, seed: int = 0, *, hidden: int = 64) -> LearnedFront:
    r"""Train one network from preferences to parameters: the front is asked for afterwards, at any preference.

    Each step draws 64 stratified preferences. In the first half they minimise the smooth Tchebycheff criterion on their
    rays, :math:`r \propto 1/\lambda`, so that more weight means less loss; then the joint hypervolume of the 64 points.
    With two losses the preferences are spread at the end so that equal steps of them give the spacing that is best for
    the hypervolume, whose density is :math:`\sqrt{|df_1\, df_2|}` (Auger et al., 2009).

    Args:
        problem: A name (`equipoise.problems.table`) or a problem in a box.
        steps: Number of steps, at least 10.
        seed: Seed of the network and of the preferences.
        hidden: Width of the network's two hidden layers.

    Returns:
        The front as a function of the preference.

    Raises:
        SettingError: An unknown name, or sizes out of range.
        NonFiniteError: A loss is NaN or infinite on the way.

    Cost:
        A step is one forward and one backward pass of 64 points through network and problem, about 1.5 ms.

    Source:
        Lin et al. (2022), arXiv:2203.15386, for the network; Hoang et al. (2023), arXiv:2212.01130, for the hypervolume
        of several preferences. We differ: rays for the start, and the spacing.

    Example:
        >>> front = learn_front("quad", steps=300)
        >>> front.losses([[0.5, 0.5]]).round(2).tolist()
        [[0.25, 0.25]]
    """
    chosen = problem_of(problem)
    if not (is_whole(steps, least=10) and is_whole(seed) and is_whole(hidden, least=1)):
        raise SettingError(
            "`steps` must be a whole number of at least 10, `seed` of at least 0, `hidden` of at least 1; got "
            f"steps={steps!r}, seed={seed!r}, hidden={hidden!r}."
        )
    k, draw = chosen.count, np.random.default_rng(seed)
    network = _network(k, chosen.parameters, hidden, seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=_RATE)
    scale, first = Scale(k, chosen.reference), round((1 - _JOINT) * steps)
    sample = draw.random((4096, k)) if k > 3 else None
    sizes = torch.from_numpy(chosen.upper - chosen.lower)
    for step in range(steps):
        done = step / steps
        optimizer.param_groups[0]["lr"] = _RATE * max(0.5 * (1 + np.cos(np.pi * done)), 1e-3)
        rays = _stratified(k, draw)
        points = _points(chosen, network, rays)
        leaf = points.detach().requires_grad_()
        losses = chosen.evaluate(leaf)
        refuse_nonfinite(losses.detach(), chosen.tasks, step)
        values = losses.detach().numpy()
        scale.see(values)
        softness = _SOFTEST * (_SHARPEST / _SOFTEST) ** min(1.0, step / max(1, first))
        pushed = tchebycheff_weights(values, np.maximum(rays, _EDGE), scale, softness)
        if step >= first:
            corner = scale.nadir if chosen.reference is not None else scale.nadir + 0.1 * scale.size
            joint = -layered_gradient(values, corner, layered=True, draw=sample).value
            inner = joint.any(axis=1, keepdims=True) & (rays.min(axis=1, keepdims=True) > 0)
            pushed = np.where(inner, joint, pushed)
        weights = unit_rows(pushed * scale.size) / scale.size
        importance = torch.from_numpy(np.where(rays.min(axis=1) <= 0, _ENDS, 1.0))
        gradient = torch.autograd.grad((losses * torch.from_numpy(weights)).sum(), leaf)[0] * sizes
        # a loss may be steep without bound, as a root near 0: one such point must not move the whole network
        gradient *= (_STEEPEST / gradient.norm(dim=1, keepdim=True).clamp_min(_STEEPEST)) * importance[:, None]
        optimizer.zero_grad()
        torch.autograd.backward([points], [gradient / sizes / len(rays)])
        optimizer.step()
    return LearnedFront(chosen, network, steps, _spaced(chosen, network) if k == 2 else None)


class _Waves(nn.Module):
    """Rays and their first sines and cosines, by which a curve may bend sharply."""

    def forward(self, rays: Tensor) -> Tensor:
        """(K, k) -> (K, k (1 + 2 waves))."""
        angles = torch.pi * rays[:, None] * torch.arange(1, _WAVES + 1).to(rays)[None, :, None]
        return torch.cat([4 * rays - 2, angles.sin().flatten(1), angles.cos().flatten(1)], dim=1)


class _Projected(torch.autograd.Function):
    """The nearest number in [0, 1]; a gradient that would push an outer number further out is dropped."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, raw: Tensor) -> Tensor:
        ctx.save_for_backward(raw)
        return raw.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (raw,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grads[0].masked_fill(((raw < 0) & (grads[0] > 0)) | ((raw > 1) & (grads[0] < 0)), 0.0)


def _network(k: int, n: int, hidden: int, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = (
            nn.Linear(k * (1 + 2 * _WAVES), hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, n),
        )
        network = nn.Sequential(_Waves(), *layers).double()
        nn.init.constant_(layers[-1].bias, 0.5)  # the middle of the box
    return network


def _points(problem: BoxProblem, network: nn.Module, rays: Array) -> Tensor:
    """(K, n) parameters in the box."""
    lower, upper = torch.from_numpy(problem.lower), torch.from_numpy(problem.upper)
    inside = _Projected.apply(network(torch.from_numpy(rays)))  # type: ignore[no-untyped-call]
    return lower + (upper - lower) * inside  # type: ignore[no-any-return]


def _rays(weights: Array) -> Array:
    """Proportions of losses (K, k) for weights: 1/w, sum 1."""
    others = 1 / np.maximum(weights, 1e-9)
    return np.asarray(others / others.sum(axis=1, keepdims=True))


def _stratified(k: int, draw: np.random.Generator) -> Array:
    """A batch of rays, spread over the simplex."""
    if k != 2:
        return sobol_points(k, _BATCH, seed=int(draw.integers(2**31)))
    share = (np.arange(_BATCH) + draw.random(_BATCH)) / _BATCH
    share[0], share[-1] = 0.0, 1.0  # the ends of the front belong to it
    return np.stack([1 - share, share], axis=1)


def _spaced(problem: BoxProblem, network: nn.Module) -> Array:
    """Places on the curve of two losses at equal steps of its density."""
    share = np.linspace(0.0, 1.0, _DENSE)
    with torch.no_grad():
        losses = problem.evaluate(_points(problem, network, np.stack([1 - share, share], axis=1))).numpy()
    moved = np.diff(losses, axis=0)
    # where both losses rise or fall, the later points dominate or are dominated: no step is spent there
    steps = np.sqrt(np.maximum(-moved[:, 0] * moved[:, 1], 0.0))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if not length[-1] > 0:
        return share
    return np.asarray(np.interp(np.linspace(0.0, 1.0, _DENSE), length / length[-1], share))
