"""Where a search starts: the problem, its first points, and losses that cannot be searched."""

import numpy as np
import torch
from torch import Tensor

from ...errors import LossError, SettingError, listed
from ...problems import BoxProblem, named

__all__ = ["problem_of", "random_starts", "refuse_constant"]


def problem_of(problem: BoxProblem | str) -> BoxProblem:
    """The problem, or the formula problem of a name."""
    chosen = named(problem) if isinstance(problem, str) else problem
    if not isinstance(chosen, BoxProblem):
        raise SettingError(f"`problem` must be a name, or a problem in a box (eq.problems.Function); got {problem!r}.")
    return chosen


def random_starts(problem: BoxProblem, size: int, seed: int) -> Tensor:
    """(size, n) uniform in the box."""
    draw = np.random.default_rng(seed).random((size, problem.parameters))
    return torch.from_numpy(problem.lower + draw * (problem.upper - problem.lower))


def refuse_constant(problem: BoxProblem, points: Tensor) -> None:
    """Raise where a loss has no gradient at any of the starts."""
    leaf = points.detach().requires_grad_()
    losses = problem.evaluate(leaf)
    flat = []
    for name, column in zip(problem.tasks, losses.unbind(dim=1), strict=True):
        slope = None
        if column.requires_grad:
            (slope,) = torch.autograd.grad(column.sum(), leaf, retain_graph=True, allow_unused=True)
        if slope is None or not slope.any():
            flat.append(name)
    if flat:
        raise LossError(
            f"every loss must depend on the parameters; {listed(flat)} are constant at all {len(leaf)} starts. Leave "
            "them out, or check that they are computed from the points."
        )
