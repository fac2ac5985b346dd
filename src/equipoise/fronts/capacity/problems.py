"""The two problems of the experiment: digits with their angle, and an arm's joints; networks of any width and depth."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.numbers import Array
from ...data import Table
from ...training.problem.problem import Problem
from ...training.problem.sources import Rows
from ...training.problem.splits import split
from ..data_problems.rotated_digits import FRACTIONS, rotated_digits
from ..data_problems.shared_network import SharedNetwork

__all__ = ["Digits", "Joints"]


class Digits:
    """Rotated digits of one seed, for networks of any width; see `rotated_digits`.

    Args:
        seed: Seed of the division and of the angles.
    """

    def __init__(self, seed: int) -> None:
        self._problem = rotated_digits(seed)
        self.tasks = self._problem.tasks
        self.rows = {part: source.data for part, source in self._problem.sources.items() if isinstance(source, Rows)}

    def problem(self, hidden: Sequence[int]) -> Problem:
        """The problem for a network."""
        found = copy.copy(self._problem)
        found.make_model = partial(SharedNetwork, 64, tuple(hidden), {"digit": 10, "angle": 1}, nn.Tanh)
        return found


class Joints:
    """Torques of an arm's joints from its state, each in shares of its variance over the training rows.

    Args:
        table: Inputs and torques.
        seed: Seed of the division.
    """

    name = "arm joints"

    def __init__(self, table: Table, seed: int) -> None:
        parts = split(table.rows_used, FRACTIONS, seed).parts
        x, y = (_standard(values, parts["train"]) for values in (table.inputs, table.targets))
        self.tasks = table.tasks
        self.rows = {part: (x[rows], y[rows]) for part, rows in parts.items()}

    def problem(self, hidden: Sequence[int]) -> Problem:
        """The problem for a network."""
        losses, rows = {task: partial(_torque, task, place) for place, task in enumerate(self.tasks)}, self.rows
        inputs = rows["train"][0].shape[1]
        make = partial(SharedNetwork, inputs, tuple(hidden), dict.fromkeys(self.tasks, 1), nn.Tanh)
        return Problem(make, losses, train=rows["train"], val=rows["val"], test=rows["test"], name=self.name)


def _torque(task: str, place: int, outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    return (outputs[task][:, 0] - batch[1][:, place]).square()


def _standard(values: Array, rows: NDArray[np.int64]) -> Tensor:
    chosen = values[rows]
    spread = chosen.std(axis=0)
    return torch.from_numpy((values - chosen.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).float()
