"""Digits that are turned: which digit, and by which angle."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.ndimage import rotate
from torch import Tensor, nn

from ...core.numbers import is_whole
from ...errors import SettingError
from ...training.problem.metric import Metric
from ...training.problem.problem import Problem
from ...training.problem.splits import split
from .digit_images import digit_images
from .shared_network import SharedNetwork

__all__ = ["FRACTIONS", "rotated_digits"]

FRACTIONS = (0.6, 0.15, 0.25)
_WIDEST = 60.0  # degrees: beyond, a rotated 6 is a 9
_UNIT = _WIDEST / np.sqrt(3)  # standard deviation of a uniform angle


def rotated_digits(
    seed: int = 0,
    source: str | os.PathLike[str] | None = None,
    *,
    hidden: Sequence[int] = (32, 32),
    make_model: Callable[[], nn.Module] | None = None,
) -> Problem:
    """Digits, each turned by an angle between -60 and 60 degrees; the tasks are to name the digit and the angle.

    The source images are divided first and turned afterwards, so no image is in two parts. Losses are divided by those
    of the best constant: log 10 nats for the digit, and the variance of the angle.

    Args:
        seed: Seed of the split and of the angles.
        source: Folder with files in the format of MNIST; None for the digits that come with scikit-learn.
        hidden: Widths of the shared layers, with tanh between them.
        make_model: Function that makes another network, (rows, pixels) -> {"digit": (rows, 10), "angle": (rows, 1)}.

    Returns:
        A problem with the tasks ``digit`` and ``angle``, with accuracy and mean absolute error in degrees.

    Raises:
        SettingError: A seed that is no whole number.
        DataError: Files that can't be read.

    Example:
        >>> problem = rotated_digits()
        >>> problem.tasks, [len(problem.sources[part].data[0]) for part in ("train", "val", "test")]
        (('digit', 'angle'), [1078, 270, 449])
    """
    if not is_whole(seed):
        raise SettingError(f"`seed` must be a whole number of at least 0; got {seed!r}.")
    images, labels = digit_images(source)
    generator = np.random.default_rng(seed)
    angles = generator.uniform(-_WIDEST, _WIDEST, size=len(images))
    turned = np.stack(
        [
            rotate(image, angle, reshape=False, order=1).ravel()
            for image, angle in zip(images.astype(np.float64), angles, strict=True)
        ]
    )
    x = torch.from_numpy(turned - 0.3).float()
    angle = torch.from_numpy(angles / _UNIT).float()
    label = torch.from_numpy(labels)
    parts = split(len(x), FRACTIONS, seed, stratify=labels).parts
    rows = {part: (x[chosen], label[chosen], angle[chosen]) for part, chosen in parts.items()}
    return Problem(
        make_model or partial(SharedNetwork, x.shape[1], tuple(hidden), {"digit": 10, "angle": 1}, nn.Tanh),
        {"digit": _digit, "angle": _angle},
        {"digit": Metric("accuracy", _accuracy, "higher"), "angle": Metric("mean absolute error", _degrees, unit="°")},
        train=rows["train"],
        val=rows["val"],
        test=rows["test"],
        name="rotated digits",
    )


def _digit(outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(outputs["digit"], batch[1], reduction="none") / float(np.log(10))


def _angle(outputs: Mapping[str, Tensor], batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return (outputs["angle"][:, 0] - batch[2]).square()


def _accuracy(outputs: Mapping[str, Any], batch: Sequence[Tensor]) -> float:
    return float((outputs["digit"].argmax(dim=1) == batch[1]).double().mean())


def _degrees(outputs: Mapping[str, Any], batch: Sequence[Tensor]) -> float:
    return float((outputs["angle"][:, 0] - batch[2]).abs().double().mean() * _UNIT)
