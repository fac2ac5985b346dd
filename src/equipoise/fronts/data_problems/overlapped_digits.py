"""Two digits that overlap, to be read at once: the common trade-off of two equal tasks."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...core.numbers import is_whole
from ...errors import SettingError
from ...training.problem.metric import Metric
from ...training.problem.problem import Problem
from ...training.problem.splits import split
from .digit_images import digit_images
from .shared_network import SharedNetwork

__all__ = ["overlapped_digits"]

_FRACTIONS = (0.6, 0.2, 0.2)


def overlapped_digits(
    seed: int = 0,
    source: str | os.PathLike[str] | None = None,
    *,
    pairs: Sequence[int] = (8000, 2000, 2000),
    hidden: Sequence[int] = (256, 256),
    make_model: Callable[[], nn.Module] | None = None,
) -> Problem:
    """Images of two digits that share half of their columns; the tasks are to read the left and the right one.

    Source images are dealt to the three parts first and paired afterwards, so no image is in two parts. Where two
    digits meet, the brighter pixel counts. The losses are cross entropies in nats; log 10 is that of a guess.

    Args:
        seed: Seed of the split and of the pairs.
        source: Folder with files in the format of MNIST; None for the digits that come with scikit-learn.
        pairs: Numbers of pairs for training, validation and test.
        hidden: Widths of the shared layers.
        make_model: Function that makes another network, (rows, pixels) -> {"left": (rows, 10), "right": (rows, 10)}.

    Returns:
        A problem with the tasks ``left`` and ``right``, inputs of height times 3/2 width pixels, and accuracies.

    Raises:
        SettingError: A seed or numbers of pairs out of range.
        DataError: Files that can't be read.

    Source:
        Sabour et al. (2017) and Sener & Koltun (2018), who overlap digits of MNIST on a larger canvas. We differ: by
        half a width and no height, and images are split before they are paired.

    Example:
        >>> problem = overlapped_digits(pairs=(100, 20, 20))
        >>> problem.tasks, problem.sources["train"].data[0].shape
        (('left', 'right'), torch.Size([100, 96]))
    """
    if not is_whole(seed) or len(pairs) != len(_FRACTIONS) or not all(is_whole(count, least=1) for count in pairs):
        raise SettingError(
            f"`seed` must be a whole number, and `pairs` three of at least 1; got seed={seed!r}, pairs={pairs!r}."
        )
    images, labels = digit_images(source)
    draw = np.random.default_rng(seed)
    parts = split(len(images), _FRACTIONS, seed).parts
    rows = {
        part: _compose(images, labels, np.asarray(chosen), count, draw)
        for (part, chosen), count in zip(parts.items(), pairs, strict=True)
    }
    pixels = rows["train"][0].shape[1]
    tasks = ("left", "right")
    return Problem(
        make_model or partial(SharedNetwork, pixels, tuple(hidden), dict.fromkeys(tasks, 10)),
        {task: partial(_loss, task, place) for place, task in enumerate(tasks, 1)},
        {task: Metric("accuracy", partial(_accuracy, task, place), "higher") for place, task in enumerate(tasks, 1)},
        train=rows["train"],
        val=rows["val"],
        test=rows["test"],
        name="overlapped digits",
    )


def _compose(
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    count: int,
    draw: np.random.Generator,
) -> tuple[Tensor, ...]:
    """Pairs of some source images, their left and their right digits."""
    left, right = rows[draw.integers(len(rows), size=(2, count))]
    height, width = images.shape[1:]
    shift = width // 2
    canvas = np.zeros((count, height, width + shift), dtype=np.float32)
    canvas[:, :, :width] = images[left]
    canvas[:, :, shift:] = np.maximum(canvas[:, :, shift:], images[right])
    return tuple(map(torch.from_numpy, (canvas.reshape(count, -1), labels[left], labels[right])))


def _loss(task: str, place: int, outputs: Mapping[str, Tensor], batch: Sequence[Tensor]) -> Tensor:
    return nn.functional.cross_entropy(outputs[task], batch[place], reduction="none")


def _accuracy(task: str, place: int, outputs: Mapping[str, Any], batch: Sequence[Tensor]) -> float:
    return float((outputs[task].argmax(dim=1) == batch[place]).double().mean())
