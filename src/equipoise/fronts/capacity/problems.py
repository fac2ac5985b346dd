"""The two problems of the experiment: digits with their angle, and an arm's joints; networks of any width and depth."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import rotate
from torch import Tensor, nn

from ...core.numbers import Array
from ...data import Table
from ...training.problem.problem import Problem
from ...training.problem.splits import split

__all__ = ["FRACTIONS", "Digits", "Joints", "Network"]

FRACTIONS = (0.6, 0.15, 0.25)
_WIDEST = 60.0  # degrees: beyond, a rotated 6 is a 9


class Network(nn.Module):
    """Shared layers with tanh, and one linear head a task: (rows, p) -> {task: (rows, outputs)}."""

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: Mapping[str, int]) -> None:
        super().__init__()
        sizes = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.Tanh()]
        self.trunk = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({task: nn.Linear(sizes[-1], size) for task, size in outputs.items()})

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        """One pass of the trunk for all heads."""
        features = self.trunk(rows)
        return {task: head(features) for task, head in self.heads.items()}


class Digits:
    """Scikit-learn's 1,797 digits, each turned by an angle: which digit, and which angle.

    The source images are divided first and turned afterwards, so no image is in two parts. Losses are divided by those
    of the best constant: log 10 nats of the digit, and the variance of the angle.

    Args:
        seed: Seed of the division and of the angles.
    """

    name = "rotated digits"
    tasks = ("digit", "angle")

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_digits  # noqa: PLC0415 - only this experiment needs it

        images, labels = load_digits(return_X_y=True)
        generator = np.random.default_rng(seed)
        angles = generator.uniform(-_WIDEST, _WIDEST, size=len(images))
        turned = np.stack(
            [rotate(image.reshape(8, 8), angle, reshape=False, order=1).ravel() for image, angle in
             zip(images, angles, strict=True)]
        )  # fmt: skip
        x = torch.from_numpy(turned / 16 - 0.3).float()
        angle = torch.from_numpy(angles / (_WIDEST / np.sqrt(3))).float()
        parts = split(len(x), FRACTIONS, seed, stratify=labels).parts
        label = torch.from_numpy(labels).long()
        self.rows = {part: (x[rows], label[rows], angle[rows]) for part, rows in parts.items()}

    def problem(self, hidden: Sequence[int]) -> Problem:
        """The problem for a network."""
        losses, rows = {"digit": _digit, "angle": _angle}, self.rows
        make = partial(Network, 64, tuple(hidden), {"digit": 10, "angle": 1})
        return Problem(make, losses, train=rows["train"], val=rows["val"], test=rows["test"], name=self.name)


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
        make = partial(Network, inputs, tuple(hidden), dict.fromkeys(self.tasks, 1))
        return Problem(make, losses, train=rows["train"], val=rows["val"], test=rows["test"], name=self.name)


def _digit(outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(outputs["digit"], batch[1], reduction="none") / float(np.log(10))


def _angle(outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return (outputs["angle"][:, 0] - batch[2]).square()


def _torque(task: str, place: int, outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    return (outputs[task][:, 0] - batch[1][:, place]).square()


def _standard(values: Array, rows: NDArray[np.int64]) -> Tensor:
    chosen = values[rows]
    spread = chosen.std(axis=0)
    return torch.from_numpy((values - chosen.mean(axis=0)) / np.where(spread > 0, spread, 1.0)).float()
