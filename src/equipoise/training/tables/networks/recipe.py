"""How a table's networks are trained: sizes, optimizer and schedule, decided by the training part.

The values are those of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, arXiv:2407.04491) with fewer epochs, and
several members where they cost little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ..preparing.preparation import Preparation
from .layers import decayed, rate
from .network import LinearNetwork, TableNetwork

__all__ = ["Recipe", "recipe_for", "schedule"]


_STEPS = 2500
_MEMBERS = ((5000, 4), (10_000, 2))  # below so many training rows so many members: the more rows, the less they bring


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training besides data, method and seed.

    Attributes:
        hidden: Widths of the trunk's layers; empty for the linear network.
        members: Networks whose predictions are averaged.
        epochs: Passes over the training rows.
        batch_size: Rows of a step.
        learning_rate, weight_decay, dropout: Settings of the trunk.
        activation: ``mish`` or ``selu``.
        separate: Whether each task has a trunk of its own.
        width: Width of the linear network's shared layer; 0 for the others.
    """

    hidden: tuple[int, ...]
    members: int
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    dropout: float
    activation: str
    separate: bool = False
    width: int = 0

    def network(self, preparation: Preparation, tasks: Sequence[str]) -> LinearNetwork | TableNetwork:
        """The untrained network for some of the targets."""
        outputs = {task: preparation.outputs[task] for task in tasks}
        kinds = {task: preparation.kinds[task] for task in tasks}
        if self.width:
            return LinearNetwork(outputs, kinds, inputs=preparation.width, width=self.width)
        return TableNetwork(
            outputs,
            kinds,
            inputs=preparation.width,
            numbers=len(preparation.numbers),
            edges=preparation.edges,
            hidden=self.hidden,
            members=self.members,
            separate=self.separate,
            activation=self.activation,
            dropout=self.dropout,
        )

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """AdamW (betas .9, .95), with the rate and decay that each layer asked for."""
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        for parameter in model.parameters():
            groups.setdefault((rate(parameter), decayed(parameter)), []).append(parameter)
        return torch.optim.AdamW(
            [
                {
                    "params": group,
                    "lr": self.learning_rate * factor,
                    "weight_decay": self.weight_decay if decays else 0.0,
                }
                for (factor, decays), group in groups.items()
            ],
            betas=(0.9, 0.95),
            fused=True,
        )

    def linear(self, width: int) -> "Recipe":
        """The linear network of a width, for the same epochs and batches."""
        return replace(self, hidden=(), members=1, width=width, separate=False, dropout=0.0, learning_rate=0.02)

    def each_alone(self) -> "Recipe":
        """A trunk for each task, for the same epochs and batches."""
        return replace(self, separate=True)


def recipe_for(
    preparation: Preparation, rows: int, *, hidden: Sequence[int] | None = None, epochs: int | None = None
) -> Recipe:
    """The recipe for a table.

    Args:
        preparation: Preparation of the table.
        rows: Number of training rows.
        hidden: Widths of the trunk's layers; None for three layers of 128.
        epochs: Passes over the training rows; None for about 2500 steps, from 10 to 200 epochs.
    """
    classes = any(kind != "regression" for kind in preparation.kinds.values())
    batch = 32 if rows < 1000 else 128 if rows < 10_000 else 256
    members = next((count for most, count in _MEMBERS if rows < most), 1)
    return Recipe(
        hidden=tuple(hidden) if hidden is not None else (128,) * 3,
        members=members,
        epochs=epochs if epochs is not None else min(200, max(10, round(_STEPS / math.ceil(rows / batch)))),
        batch_size=batch,
        learning_rate=0.04 if classes else 0.1,
        weight_decay=0.02 if classes else 0.01,
        dropout=0.15 if classes else 0.0,
        activation="selu" if classes else "mish",
    )


def schedule(done: float) -> float:
    """Factor on the learning rate at a share of the training: (1 - cos(2 pi log2(1 + 15 t))) / 2, four rises and falls.

    Example:
        >>> schedule(0.0), round(schedule(1.0), 12)
        (0.0, 0.0)
    """
    return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * done)))
