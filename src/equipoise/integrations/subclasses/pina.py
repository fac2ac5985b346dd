"""The weighting that `pina_weighting` returns."""

import torch
from torch import Tensor

from ...balancer import Balancer

try:
    from pina.weighting import BaseWeighting
except ImportError:  # before PINA 0.3.2
    from pina.loss import WeightingInterface as BaseWeighting

__all__ = ["BalancerWeighting"]


class BalancerWeighting(BaseWeighting):  # type: ignore[misc]
    """Aggregates the losses of PINA's conditions by a Balancer."""

    def __init__(self, balancer: Balancer) -> None:
        super().__init__()
        self.balancer = balancer

    def aggregate(self, losses: dict[str, Tensor]) -> Tensor:
        """The balanced loss; a condition that has no points in this batch is an absent task."""
        self.balancer.train(self.solver.training)
        plain = {name: loss.as_subclass(Tensor).reshape(()) for name, loss in losses.items()}
        with torch._C.DisableTorchFunctionSubclass():  # gradients behind a LabelTensor are some too, without labels
            return self.balancer(dict.fromkeys(self.solver.problem.conditions) | plain)  # type: ignore[no-any-return]

    def update_weights(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """The weights of the last step; `aggregate` finds new ones."""
        del losses
        return self.last_saved_weights()

    weights_update = update_weights  # its name before PINA 0.3.2

    def last_saved_weights(self) -> dict[str, float]:
        """Weight of each condition in the last step; empty before it, and for methods without weights."""
        last = self.balancer.last
        if last is None or last.weights is None or last.weights.dim() > 1:
            return {}
        return dict(zip(last.tasks, last.weights.tolist(), strict=True))
