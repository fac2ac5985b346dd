"""K solutions that descend together, one batched backward a step, and are chosen anew from what was seen."""

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ...core.numbers import Array
from ...problems import BoxProblem
from .archive import Archive
from .criteria import Scale, tchebycheff_weights, unit_rows
from .descent import Descent, refuse_nonfinite
from .targets import Target

__all__ = ["Search"]

_RATE, _LAST = 0.03, 1e-5
_BETWEEN = 16
_PAIRS = 128  # at most this many pairs of solutions are probed


class Search:
    """The state of a joint search.

    Args:
        problem: Losses in a box.
        points: (K, n) start.
        steps: Number of steps to come.
        scale: Ideal and sizes of the losses.
        seed: Seed of the probes.
    """

    def __init__(self, problem: BoxProblem, points: Tensor, steps: int, scale: Scale, seed: int) -> None:
        lower, upper = torch.from_numpy(problem.lower), torch.from_numpy(problem.upper)
        self.problem, self.scale = problem, scale
        self.descent = Descent(points, lower, upper, upper - lower)
        self.archive = Archive(points.numel(), steps, seed)
        self.number = 0
        start = self.losses(points)
        refuse_nonfinite(start, problem.tasks, 0)
        self.scale.see(start.numpy())
        self._draw = torch.Generator().manual_seed(seed)

    def warm(self, steps: int, rays: Array) -> None:
        """Smooth Tchebycheff on K rays; in the second half each solution wanders through its part of the front."""
        count, k = rays.shape
        reach = 0.5 * (count - 1 if k == 2 else count ** (1 / (k - 1))) ** -1.0 if min(count, k) > 1 else 0.0
        corners = np.eye(k)
        still = steps // 2

        def pull(losses: Array, number: int) -> Array:
            if number < still:
                softness = 0.1 * 0.1 ** (2 * number / max(still, 1))
                return tchebycheff_weights(losses, rays, self.scale, max(softness, 0.01))
            turn = (number - still) / max(steps - still, 1) * k
            away = reach * (1 - abs(2 * (turn % 1) - 1))
            wandered = np.clip(rays + away * (corners[min(int(turn), k - 1)] - rays), 1e-3, None)
            return tchebycheff_weights(losses, wandered, self.scale, 0.01)

        self._descend(steps, pull, lambda share: _RATE * (1.0 if share < 0.25 else 0.5))

    def polish(self, steps: int, target: Target, *, before: float, after: float) -> None:
        """Descend the target; `before` and `after` are the shares of the whole polish where this part lies."""

        def share(number: int) -> float:
            return before + (after - before) * number / max(steps, 1)

        def rate(done: float) -> float:
            whole = before + (after - before) * done
            return float(_RATE * 0.25 * (1 + np.cos(np.pi * whole)) + _LAST)

        self._descend(steps, lambda losses, number: target.pull(losses, share(number)), rate)

    def choose(self, target: Target) -> int:
        """Choose the solutions anew from all that was seen, and from probes on the lines through pairs of them.

        Half of the probes lie beyond the pair.

        Returns:
            Number of places for which there was a point; the others keep their solution.
        """
        points = self.descent.points
        self.archive.add(self.losses(points).numpy(), points, always=True)
        losses, seen = self.archive.prune()
        found = seen[torch.from_numpy(target.choose(losses, len(points)))]
        pairs = list(combinations(range(len(found)), 2))
        if len(pairs) > _PAIRS:
            pairs = [pairs[i] for i in torch.randperm(len(pairs), generator=self._draw)[:_PAIRS].tolist()]
        if pairs:
            probes = self._between(found, pairs)
            self.archive.add(self.losses(probes).numpy(), probes)
            losses, seen = self.archive.prune()
            found = seen[torch.from_numpy(target.choose(losses, len(points)))]
        self.descent.restart(torch.cat([found, points[len(found) :]]))
        return len(found)

    def losses(self, points: Tensor) -> Tensor:
        """(K, k), without a graph."""
        with torch.no_grad():
            return self.problem.evaluate(points)

    def _between(self, found: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
        left, right = (found[[pair[side] for pair in pairs]][:, None] for side in (0, 1))
        shares = 2 * torch.rand((len(pairs), _BETWEEN, 1), generator=self._draw, dtype=found.dtype) - 0.5
        lower, upper = torch.from_numpy(self.problem.lower), torch.from_numpy(self.problem.upper)
        return (left + shares * (right - left)).flatten(0, 1).clamp_(lower, upper)

    def _descend(self, steps: int, pull: Callable[[Array, int], Array], rate: Callable[[float], float]) -> None:
        descent, problem, tasks = self.descent, self.problem, self.problem.tasks
        for number in range(steps):
            points = descent.points
            leaf = points.detach().requires_grad_()
            losses = problem.evaluate(leaf)
            seen = losses.detach()
            values = seen.numpy()
            if not math.isfinite(values.sum()):
                refuse_nonfinite(seen, tasks, self.number)
            self.scale.see(values)
            self.archive.see(self.number, values, points)
            weights = torch.from_numpy(unit_rows(pull(values, number)))
            (gradient,) = torch.autograd.grad(losses, leaf, weights)
            descent.step(gradient, rate(number / steps))
            self.number += 1
