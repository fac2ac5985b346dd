"""Two digits that overlap: one model for all preferences against five separate trainings with fixed weights.

The problem is `equipoise.front.overlapped_digits` (scikit-learn's digits; no source image in two parts). All sides have
the same network (dense, or small and convolutional), batches, steps, cosine schedule and fused AdamW, and each the best
of its learning rates on the validation part of two seeds that are not reported. Shown are the hypervolume of the cross
entropies below (2, 2) at the points of a side (5 of the separate trainings, 11 preferences of the others), and the same
of the mean losses over the seeds, in which the best of five noisy trainings counts less; CPU time of training (the call
less the same call with one step) over that of one separate training; and parameters over those of the plain network.

The hypernetwork (Navon et al., 2021) is here for comparison only: a preference, one hidden layer of 100, all weights.

Run::

    OMP_NUM_THREADS=1 python benchmarks/overlapped_digits.py [--seeds 5] [--net dense convolutional]
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

import equipoise as eq
from equipoise.fronts.indicators import hypervolume

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
POINTS = 11
TUNING = (100, 101)
STEPS, ROWS = 300, 512
RATES = (3e-3, 6e-3, 1.2e-2, 2.4e-2)
SLOW_RATES = (3e-4, 1e-3, 3e-3)
"""Of the hypernetwork: above them it diverges."""
ADAPTED: dict[str, dict[str, Any]] = {
    "dense": {"rank": 6, "layers": ["trunk.2"]},
    "convolutional": {"rank": 4, "layers": ["trunk.8"]},
}
"""The last shared layer: conditioning all layers costs more time than it gained."""


class Convolutional(nn.Module):
    """Two convolutions and a dense layer, then the heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Unflatten(1, (1, 8, 12)),
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(192, 128), nn.ReLU()),
        )
        self.left, self.right = nn.Linear(128, 10), nn.Linear(128, 10)

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """Scores of the ten digits for each task."""
        features = self.trunk(rows)
        return {"left": self.left(features), "right": self.right(features)}


NETS: dict[str, Callable[[], nn.Module] | None] = {"dense": None, "convolutional": Convolutional}


def make_problem(net: str, seed: int) -> eq.Problem:
    """Overlapped digits with splits and pairs of one seed."""
    return eq.front.overlapped_digits(seed, make_model=NETS[net])


def half_cosine(fraction: float) -> float:
    """Factor of the learning rate."""
    return float(1 + np.cos(np.pi * fraction)) / 2


def settings(seed: int, rate: float, steps: int) -> dict[str, Any]:
    """What both sides of the library are trained with."""
    return {
        "steps": steps,
        "batch_size": ROWS,
        "seed": seed,
        "optimizer": partial(torch.optim.AdamW, lr=rate, fused=True),
        "schedule": half_cosine,
    }


Losses = dict[str, np.ndarray]


def separate(net: str, seed: int, rate: float, steps: int, shares: tuple[float, ...] = SHARES) -> tuple[Losses, float]:
    """Losses of trainings with fixed weights, and parameters over those of the plain network."""
    problem = make_problem(net, seed)
    found = [
        eq.fit(
            problem,
            eq.LinearScalarization((share, 1 - share)),
            select=None,
            every=steps,
            **settings(seed, rate, steps),
        ).losses
        for share in shares
    ]
    return {part: np.array([list(one[part].values()) for one in found]) for part in ("val", "test")}, 1.0


def conditioned(net: str, seed: int, rate: float, steps: int, together: int | None = None) -> tuple[Losses, float]:
    """The same of one conditioned model."""
    found = eq.front.fit_conditioned(
        make_problem(net, seed),
        **ADAPTED[net],
        points=POINTS,
        together=together,
        every=0,
        **settings(seed, rate, steps),
    )
    return found.losses, found.parameters[0] / found.parameters[1]


def hypernetwork(net: str, seed: int, rate: float, steps: int) -> tuple[Losses, float]:
    """The same of a network from the preference to all weights, one preference a step."""
    problem = make_problem(net, seed)
    torch.manual_seed(seed)
    plain = problem.make_model()
    sizes = {name: value.shape for name, value in plain.named_parameters()}
    count = sum(shape.numel() for shape in sizes.values())
    start = torch.cat([value.detach().flatten() for value in plain.parameters()])
    hyper = nn.Sequential(nn.Linear(2, 100), nn.ReLU(), nn.Linear(100, count))
    with torch.no_grad():  # the middle starts as the plain network does
        hyper[2].weight.mul_(0.1)
        hyper[2].bias.copy_(start)
    optimizer = torch.optim.AdamW(hyper.parameters(), lr=rate, fused=True)
    draw = np.random.default_rng(seed)
    preferences = np.asarray(eq.front.sobol_points(2, steps, seed=seed), dtype=np.float32)

    def outputs(preference: torch.Tensor, x: torch.Tensor) -> Any:
        pieces = hyper(preference).split([shape.numel() for shape in sizes.values()])
        named = {name: piece.view(shape) for (name, shape), piece in zip(sizes.items(), pieces, strict=True)}
        return functional_call(plain, named, (x,))

    def losses(out: Any, data: Any) -> torch.Tensor:
        return torch.stack([loss(out, data).mean() for loss in problem.losses.values()])

    data = problem.sources["train"].data
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * half_cosine(step / steps)
        rows = torch.from_numpy(draw.choice(len(data[0]), ROWS, replace=False))
        batch = tuple(column[rows] for column in data)
        preference = torch.from_numpy(preferences[step])
        optimizer.zero_grad()
        torch.autograd.backward([preference @ losses(outputs(preference, batch[0]), batch)])
        optimizer.step()
    found = {}
    share = torch.linspace(0, 1, POINTS)
    with torch.no_grad():
        for part in ("val", "test"):
            data = problem.sources[part].data
            pairs = [torch.stack([1 - one, one]) for one in share]
            found[part] = np.array([losses(outputs(pair, data[0]), data).tolist() for pair in pairs])
    return found, sum(value.numel() for value in hyper.parameters()) / count


SIDES: dict[str, tuple[Callable[..., tuple[Losses, float]], tuple[float, ...]]] = {
    "separate": (separate, RATES),
    "conditioned": (conditioned, RATES),
    "conditioned, one preference a step": (partial(conditioned, together=1), RATES),
    "hypernetwork": (hypernetwork, SLOW_RATES),
}


def cpu(side: Callable[..., Any], net: str, rate: float, **options: Any) -> float:
    """CPU seconds of one training of a seed, without set-up and measuring."""
    seconds = []
    for steps in (STEPS, 1):
        began = time.process_time()
        side(net, TUNING[0], rate, steps, **options)
        seconds.append(time.process_time() - began)
    return seconds[0] - seconds[1]


def volume(losses: Any) -> float:
    """Hypervolume below (2, 2)."""
    return float(hypervolume(losses, (2.0, 2.0)))


def measure(net: str, seeds: int, repeats: int) -> list[str]:
    """Lines of the table of one network."""
    rates = {}
    for name, (side, choices) in SIDES.items():
        tried = {
            rate: float(np.mean([volume(side(net, seed, rate, STEPS)[0]["val"]) for seed in TUNING]))
            for rate in choices
        }
        rates[name] = max(tried, key=tried.__getitem__)
        print(f"{net}, {name}: volume, validation, mean of seeds {TUNING}, by learning rate {tried}", flush=True)
    found: dict[str, list[Losses]] = {name: [] for name in SIDES}
    sizes = {}
    for seed in range(seeds):
        for name, (side, _) in SIDES.items():
            losses, sizes[name] = side(net, seed, rates[name], STEPS)
            found[name].append(losses)
    ratios: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(repeats):  # in turns: the machine's speed drifts
        one = cpu(separate, net, rates["separate"], shares=(0.5,))
        for name, (side, _) in SIDES.items():
            if name != "separate":
                ratios[name].append(cpu(side, net, rates[name]) / one)
    lines = []
    for name in SIDES:
        cells = []
        for part in ("val", "test"):
            each = [volume(losses[part]) for losses in found[name]]
            spread = np.std(each, ddof=1) / np.sqrt(seeds)
            mean = volume(np.mean([losses[part] for losses in found[name]], axis=0))
            cells += [f"{np.mean(each):.4f} +- {spread:.4f}", f"{mean:.4f}"]
        when = f"{np.median(ratios[name]):.2f}" if ratios[name] else "5 x 1"
        lines.append(f"| {net} | {name} | {' | '.join(cells)} | {when} | {sizes[name]:.3f} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--net", nargs="+", choices=NETS, default=list(NETS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        f"| network | side | validation, mean of {options.seeds} seeds +- standard error | of mean losses | test | of "
        "mean losses | time over one training, median | parameters |",
        "|---" * 8 + "|",
    ]
    for net in options.net:
        lines += measure(net, options.seeds, options.repeats)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
