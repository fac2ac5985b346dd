"""Two digits on top of each other: one conditioned model against separate trainings with fixed weights.

scikit-learn's digits (8 by 8), two at a time on a canvas of 8 by 12 with four shared columns; the tasks are to read the
left and the right one. Source images are split before they are composed, so no image is on two sides.
"""

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import equipoise as eq

REFERENCE = (2.0, 2.0)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


def compose(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, count: int, draw: np.random.Generator) -> Any:
    """`count` overlapped pairs of some source images, their left and their right labels."""
    left, right = rows[draw.integers(len(rows), size=(2, count))]
    canvas = np.zeros((count, 8, 12), dtype=np.float32)
    canvas[:, :, :8] = images[left]
    canvas[:, :, 4:] = np.maximum(canvas[:, :, 4:], images[right])
    return tuple(map(torch.from_numpy, (canvas[:, None], labels[left], labels[right])))


class LeNet(nn.Sequential):
    """Two convolutions and a layer for both heads: 32 thousand parameters."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(192, 128), nn.ReLU(), nn.Linear(128, 20),
        )  # fmt: skip


def make_problem(seed: int) -> eq.Problem:
    """Overlapped digits with splits and pairs of one seed."""
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), digits.target.astype(np.int64)
    draw = np.random.default_rng(seed)
    parts = eq.split(len(images), (0.6, 0.2, 0.2), seed=seed).parts
    sizes = {"train": 8000, "val": 2000, "test": 2000}
    return eq.Problem(
        LeNet,
        {
            "left": lambda out, batch: cross_entropy(out[:, :10], batch[1], reduction="none"),
            "right": lambda out, batch: cross_entropy(out[:, 10:], batch[2], reduction="none"),
        },
        **{part: compose(images, labels, np.asarray(rows), sizes[part], draw) for part, rows in parts.items()},
        name="overlapped digits",
    )
