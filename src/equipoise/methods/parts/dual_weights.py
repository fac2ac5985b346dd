"""A remembered point of the simplex that takes one projected step a call: the memory of `MoDo`, `SDMGrad`, `MoCo`."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...errors import NonFiniteError
from ...solve.simplex import project_to_simplex
from ..base import State, StateTensor

__all__ = ["DUAL_STATE", "simplex_step", "uniform_dual"]

DUAL_STATE = (StateTensor("dual"),)
"""``dual`` (k,): non-negative, sum 1 over all tasks, absent ones included."""


def uniform_dual(k: int) -> State:
    """The point before the first step: equal shares."""
    return {"dual": torch.full((k,), 1 / k, dtype=torch.float64)}


def simplex_step(state: State, slope: Callable[[Tensor], Tensor], step_size: float) -> tuple[Tensor, State]:
    r"""One step :math:`a \leftarrow \operatorname{Proj}_\Delta(a - \gamma\, \nabla(a))` of the present tasks' shares.

    Args:
        state: Holds ``dual``, (k,), of the present tasks; absent ones keep their part.
        slope: Gradient at shares of sum 1; (k,) -> (k,), on the CPU.
        step_size: Step size gamma, positive.

    Returns:
        The present tasks' shares after the step, sum 1, on the CPU, and the state. A present group that has lost all
        its weight moves from equal shares and gets none.

    Example:
        >>> shares, _ = simplex_step(uniform_dual(2), lambda a: torch.tensor([0.0, 1.0]), 0.4)
        >>> shares
        tensor([0.7000, 0.3000], dtype=torch.float64)
    """
    dual = state["dual"].cpu()
    mass = dual.sum()
    shares = dual / mass if mass > 0 else torch.full_like(dual, 1 / len(dual))
    moved = shares - step_size * slope(shares)
    if not bool(torch.isfinite(moved).all()):
        raise NonFiniteError(
            f"a step of the weights must be finite; found {moved.tolist()}: the squares of the gradients leave "
            "float64. Divide the losses, or make the step of the weights smaller."
        )
    after = torch.from_numpy(project_to_simplex(moved.numpy()))
    return after, {**state, "dual": (after * mass).to(state["dual"])}
