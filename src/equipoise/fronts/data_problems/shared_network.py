"""Shared layers and one head a task, from plain layers that a preference can act on."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

__all__ = ["SharedNetwork"]


class SharedNetwork(nn.Module):
    """Shared layers, and one linear head a task: (rows, p) -> {task: (rows, outputs)}.

    Args:
        inputs: Number of input columns p.
        hidden: Widths of the shared layers.
        outputs: Task name -> number of outputs of its head.
        activation: Module class between the layers.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: Mapping[str, int],
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), activation()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({task: nn.Linear(sizes[-1], size) for task, size in outputs.items()})

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """One pass of the shared layers for all heads."""
        features = self.trunk(rows)
        return {task: head(features) for task, head in self.heads.items()}
