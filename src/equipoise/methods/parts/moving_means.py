"""Moving means of one number a task, started at zero and divided by what their weights sum to: as in Adam."""

import torch
from torch import Tensor

from ..base import State, StateTensor

__all__ = ["MEANS_STATE", "initial_means", "update_means"]

MEANS_STATE = (StateTensor("means"), StateTensor("seen"))
"""``means`` (k,): the moving means before the division; ``seen`` (k,): steps in which the task took part."""


def initial_means(k: int) -> State:
    """The memory before the first step."""
    return {"means": torch.zeros(k, dtype=torch.float64), "seen": torch.zeros(k, dtype=torch.int64)}


def update_means(state: State, values: Tensor, beta: float) -> tuple[Tensor, State]:
    r"""One step of :math:`m_i \leftarrow \beta m_i + (1 - \beta) v_i`, and :math:`m_i / (1 - \beta^{t_i})`.

    Args:
        state: State with ``means`` and ``seen`` of the tasks that take part.
        values: Values v of this step, (k,).
        beta: Share of the old mean, in [0, 1); 0 for no memory.

    Returns:
        The means after the division, (k,), and the state with both moved. t_i counts the steps of task i.

    Example:
        >>> update_means(initial_means(2), torch.tensor([3.0, 1.0], dtype=torch.float64), 0.9)[0]
        tensor([3., 1.], dtype=torch.float64)
    """
    seen = state["seen"] + 1
    means = beta * state["means"].to(values) + (1 - beta) * values
    debiased = means / (1 - beta ** seen.to(values))
    return debiased, {**state, "means": means.to(state["means"]), "seen": seen}
