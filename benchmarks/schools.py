"""London schools: is one model with a head a school better than 139 separate networks? Held-out, with an interval.

Every school's rows are split 60/20/20 with a seed; scores are standardized by the training rows of all schools. The
joint model is a trunk 28-64-64 with a linear head a school; the separate networks are 139 copies of the same network,
trained in the same steps on the same rows (Adam does not see that their losses stand in one mean). The validation rows
choose the step: one for the joint model (lowest mean loss over schools), one for each separate network. The table shows
the test error over that of predicting the school's training mean, and the ratio joint / separate as geometric mean over
the schools with a 95 % interval over seeds (corrected for overlapping splits).

Run::

    EQUIPOISE_DATA=... OMP_NUM_THREADS=1 python benchmarks/schools.py --out schools [--seeds 5] [--quick]

writes ``schools/schools.json`` and prints the table.
"""

import argparse
import functools
import json
import math
import os
from pathlib import Path

import numpy as np
import torch
from loop import ROOT, Schools, own, read_schools
from torch import nn

import equipoise as eq
from equipoise.comparison.contrast import contrast

SHARES = (0.6, 0.8)  # training rows end, validation rows end


class Separate(nn.Module):
    """One network a school, each as large as the joint model's trunk and head."""

    def __init__(self, inputs: int, k: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
                for _ in range(k)
            ]
        )


def alone(task: int, outputs, batch):
    """The mean squared error of one school's network on its own rows."""
    return (outputs["nets"][task](outputs["inputs"])[:, 0] - batch[1]).square().mean()


def parts_of(folder: Path, seed: int) -> dict[str, dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """Part -> school -> rows, split within each school."""
    xs, ys = read_schools(folder)
    draw = np.random.default_rng(seed)
    found: dict[str, dict[str, tuple[torch.Tensor, torch.Tensor]]] = {"train": {}, "val": {}, "test": {}}
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        order = torch.from_numpy(draw.permutation(len(y)))
        pieces = order.tensor_split([round(share * len(y)) for share in SHARES])
        for part, rows in zip(found, pieces, strict=True):
            found[part][f"school {number}"] = (x[rows], y[rows])
    train = torch.cat([y for _, y in found["train"].values()])
    mean, scale = train.mean(), train.std()
    return {part: {name: (x, (y - mean) / scale) for name, (x, y) in rows.items()} for part, rows in found.items()}


def test_losses(folder: Path, seed: int, steps: int) -> tuple[dict[str, dict[str, float | None]], dict[str, float]]:
    """Entrant -> school -> test error, and the same of each school's training mean."""
    parts = parts_of(folder, seed)
    names, inputs = list(parts["train"]), next(iter(parts["train"].values()))[0].shape[1]
    own_rows = {part: eq.OwnRows(rows) for part, rows in parts.items()}
    adam = functools.partial(torch.optim.AdamW, lr=5e-3)
    settings = {"steps": steps, "batch_size": None, "every": 10, "seed": seed, "optimizer": adam}
    joint = eq.Problem(
        functools.partial(Schools, inputs, len(names)),
        {name: functools.partial(own, i) for i, name in enumerate(names)},
        forward=lambda net, batch: {"features": net.trunk(batch[0]), "heads": net.heads},
        features=lambda outputs: outputs["features"],
        **own_rows,
    )
    separate = eq.Problem(
        functools.partial(Separate, inputs, len(names)),
        {name: functools.partial(alone, i) for i, name in enumerate(names)},
        forward=lambda net, batch: {"inputs": batch[0], "nets": net.nets},
        **own_rows,
    )
    plain = eq.LinearScalarization()
    found = {
        "joint": eq.fit(joint, plain, select=eq.MeanLoss(), **settings).losses["test"],
        "separate": eq.fit(separate, plain, select=eq.PerTaskBest(), **settings).losses["test"],
    }
    means = {name: float((parts["test"][name][1] - parts["train"][name][1].mean()).square().mean()) for name in names}
    return found, means


def main() -> None:
    """Train, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("schools"))
    parser.add_argument("--seeds", type=int, default=5, help="number of splits and starts")
    parser.add_argument("--steps", type=int, default=100, help="steps of each training, on all training rows")
    parser.add_argument("--quick", action="store_true", help="two seeds, 30 steps")
    given = parser.parse_args()
    folder = Path(os.environ.get("EQUIPOISE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        print(f"no folder of real data at {folder}: London schools are left out")
        return
    torch.set_num_threads(1)
    seeds, steps = (2, 30) if given.quick else (given.seeds, given.steps)
    losses: dict[str, dict[int, dict[str, float | None]]] = {"joint": {}, "separate": {}}
    shares = []
    for seed in range(seeds):
        found, means = test_losses(folder, seed, steps)
        for entrant, by_school in found.items():
            losses[entrant][seed] = by_school
        average = {name: float(np.mean(list(by_school.values()))) for name, by_school in found.items()}
        mean = float(np.mean(list(means.values())))
        shares.append({name: value / mean for name, value in average.items()})
        print(f"seed {seed}: mean test error over the schools' means " + str(shares[-1]), flush=True)
        if seed:
            print(verdict(list(means), losses), flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "schools.json").write_text(json.dumps({"losses": losses, "over the means": shares}, indent=1))


def verdict(names: list[str], losses: dict[str, dict[int, dict[str, float | None]]]) -> str:
    """The joint model against the separate ones over the seeds so far."""
    against = contrast(names, losses["joint"], losses["separate"], (1 - SHARES[1]) / SHARES[0])
    assert against.average is not None
    low, high = against.average.low, against.average.high
    interval = "no interval" if low is None or high is None else f"[{math.exp(low):.3f}, {math.exp(high):.3f}]"
    return (
        f"joint / separate test error, geometric mean over {len(names)} schools, {against.average.n} seeds: "
        f"{math.exp(against.average.mean):.3f}, 95 % {interval}: joint is {against.finding} on average; "
        f"{len(against.found('better'))} schools better, {len(against.found('worse'))} worse, "
        f"{len(against.found('open'))} open after correction for {len(names)} tests"
    )


if __name__ == "__main__":
    main()
