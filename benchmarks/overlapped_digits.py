"""Two digits on top of each other: one conditioned model against five separate trainings with fixed weights.

scikit-learn's digits (8 by 8), two at a time on a canvas of 8 by 12 with four shared columns; the tasks are to read the
left and the right one. Source images are split before they are composed, so no image is in two parts. Both sides have
the same network, batches, steps, cosine schedule and fused AdamW, and the same learning rates to choose from, on the
validation part of a seed that is not reported. Hypervolume of the cross entropies below (2, 2); CPU time.

Run::

    OMP_NUM_THREADS=1 python benchmarks/overlapped_digits.py [--seeds 3]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import equipoise as eq
from equipoise.fronts.indicators import hypervolume

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
RATES = (3e-3, 6e-3, 1.2e-2)
TUNING = 100
STEPS, ROWS = 300, 512


def compose(images: Any, labels: Any, rows: Any, count: int, draw: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """`count` overlapped pairs of some source images, their left and their right labels."""
    left, right = rows[draw.integers(len(rows), size=(2, count))]
    canvas = np.zeros((count, 8, 12), dtype=np.float32)
    canvas[:, :, :8] = images[left]
    canvas[:, :, 4:] = np.maximum(canvas[:, :, 4:], images[right])
    return tuple(map(torch.from_numpy, (canvas.reshape(count, -1), labels[left], labels[right])))


def make_problem(seed: int) -> eq.Problem:
    """Overlapped digits with splits and pairs of one seed."""
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), digits.target.astype(np.int64)
    draw = np.random.default_rng(seed)
    parts = eq.split(len(images), (0.6, 0.2, 0.2), seed=seed).parts
    sizes = {"train": 8000, "val": 2000, "test": 2000}
    return eq.Problem(
        lambda: nn.Sequential(nn.Linear(96, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 20)),
        {
            "left": lambda out, batch: cross_entropy(out[:, :10], batch[1], reduction="none"),
            "right": lambda out, batch: cross_entropy(out[:, 10:], batch[2], reduction="none"),
        },
        **{part: compose(images, labels, np.asarray(rows), sizes[part], draw) for part, rows in parts.items()},
        name="overlapped digits",
    )


def settings(seed: int, rate: float) -> dict[str, Any]:
    """What both sides are trained with."""
    return {
        "steps": STEPS,
        "batch_size": ROWS,
        "seed": seed,
        "optimizer": partial(torch.optim.AdamW, lr=rate, fused=True),
        "schedule": lambda fraction: (1 + np.cos(np.pi * fraction)) / 2,
    }


def separate(seed: int, rate: float) -> tuple[dict[str, Any], float, float]:
    """Losses of five trainings on both parts, CPU seconds of one, parameters over those of the plain network."""
    problem, found, seconds = make_problem(seed), [], []
    for share in SHARES:
        began = time.process_time()
        method = eq.LinearScalarization((share, 1 - share))
        found.append(eq.fit(problem, method, select=None, every=STEPS, **settings(seed, rate)).losses)
        seconds.append(time.process_time() - began)
    losses = {part: np.array([list(one[part].values()) for one in found]) for part in ("val", "test")}
    return losses, float(np.median(seconds)), 1.0


def conditioned(seed: int, rate: float) -> tuple[dict[str, Any], float, float]:
    """The same of one conditioned model, measured at eleven preferences."""
    problem, began = make_problem(seed), time.process_time()
    found = eq.front.fit_conditioned(problem, rank=2, points=11, **settings(seed, rate))
    return found.losses, time.process_time() - began, found.parameters[0] / found.parameters[1]


def volume(losses: Any) -> float:
    """Hypervolume below (2, 2)."""
    return float(hypervolume(losses, (2.0, 2.0)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sides: tuple[Callable[..., Any], ...] = (separate, conditioned)
    rates = {}
    for side in sides:
        tried = {rate: volume(side(TUNING, rate)[0]["val"]) for rate in RATES}
        rates[side] = max(tried, key=tried.__getitem__)
        print(f"{side.__name__}: volume on the validation part of seed {TUNING} by learning rate {tried}", flush=True)
    print("seed | separate val, test, CPU s of one | conditioned val, test, CPU s, times one, parameters", flush=True)
    rows = []
    for seed in range(options.seeds):
        (apart, one, _), (joint, whole, size) = (side(seed, rates[side]) for side in sides)
        rows.append(
            [volume(apart["val"]), volume(apart["test"]), volume(joint["val"]), volume(joint["test"]), whole / one]
        )
        shown = " ".join(f"{value:.3f}" for value in rows[-1])
        print(f"{seed} | {shown} | {one:.2f} s, {whole:.2f} s, {size:.3f}", flush=True)
    print("mean |", " ".join(f"{value:.3f}" for value in np.mean(rows, axis=0)), flush=True)


if __name__ == "__main__":
    main()
