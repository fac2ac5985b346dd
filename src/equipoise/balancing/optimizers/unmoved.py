"""Trained parameters of a method that no optimizer moves."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import EquipoiseWarning

__all__ = ["Unmoved"]

_STEPS = 100


class Unmoved:
    """Warns once where a method's parameters have not moved in 100 steps although they have a gradient.

    The usual cause is an optimizer that was built from the model's parameters alone: the method then trains like a
    weighted sum, without any other sign.
    """

    def __init__(self) -> None:
        self._since: int | None = None
        self._first: dict[str, Tensor] = {}

    def look(self, trained: Mapping[str, Tensor], steps: int) -> None:
        """Compares the parameters at the first step and 100 steps later; called after every step."""
        if self._since is None:
            self._since = steps
            self._first = {name: parameter.detach().clone() for name, parameter in trained.items()}
        elif steps - self._since == _STEPS:
            still = [
                name
                for name, parameter in trained.items()
                if parameter.requires_grad
                and parameter.grad is not None
                and torch.equal(parameter.detach(), self._first[name].to(parameter))
            ]
            if still:
                warnings.warn(
                    f"the method's trained {' and '.join(still)} did not move in {_STEPS} steps, although backward "
                    "gave a gradient: no optimizer has them, so the tasks' weights never change. Type "
                    "optimizer.add_param_group({'params': balancer.parameters(), 'weight_decay': 0.0}).",
                    EquipoiseWarning,
                    stacklevel=2,
                )
