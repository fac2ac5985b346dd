"""The memory of a Balancer's method: its start, and the form in which a step sees it."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..core.losses import check_names
from ..core.tasks import Tasks
from ..methods.base import JacobianMethod, State
from .copies import Copyable

__all__ = ["Memory"]


class Memory(Copyable):
    """The part of a Balancer that holds the method's state."""

    _everyone: Tasks

    def fix_tasks(self, names: tuple[str, ...]) -> None:
        """Sets the task names and starts the method's state; the first call and loading do it too."""
        self._everyone = Tasks(check_names(names))  # refuses doubled names
        late = isinstance(self.method, JacobianMethod) or self.settings.granularity != "model"
        state = {} if late else self.method.init(len(names), 0)
        trained = {tensor.name for tensor in self.method.state_tensors if tensor.trained}
        self.trained.update({name: nn.Parameter(tensor.clone()) for name, tensor in state.items() if name in trained})
        self.state = {name: tensor for name, tensor in state.items() if name not in trained}
        self.tasks = names

    def current_state(self, device: torch.device) -> State:
        """The method's state, including trained parameters, on the losses' device."""
        if not self.method.state_tensors:
            return {}
        state = {name: tensor.to(device) for name, tensor in self.state.items()}
        if not self.method.trains:
            return state
        return {**state, **cast("dict[str, Tensor]", self.trained._parameters)}  # dict(self.trained), ten times faster

    def device_of(self, losses: Sequence[Tensor]) -> torch.device:
        """Device of a step: that of its losses, or of the parameters on a rank without any."""
        if losses:
            return losses[0].device
        return next((leaf.device for leaf in self.ownership.named().values()), torch.device("cpu"))
