"""What `equipoise.fit` costs beyond a loop written by hand, and whether killed runs end as if nothing had happened.

Cost: the same model, batches, method and seed in `fit` and in a hand-written loop with the same `Balancer`; both take
turns, and the table shows the median over turns of the ratio of process CPU time, with its range. The final weights
must be equal to the bit. The last column sets `fit` against a hand-written loop on the plain mean without a Balancer.

London schools (139 tasks, each with rows of its own; needs EQUIPOISE_DATA): a step of `fit` over a plain hand-written
step on the mean of the 139 losses.

Kill: every method that remembers something is killed with SIGKILL 20 times at random moments and called again; weights,
states and records must equal those of the uninterrupted run to the bit (`tests/training/loop/killing.py`).

Run::

    OMP_NUM_THREADS=1 python benchmarks/loop.py --out loop [--quick]

writes ``loop/loop.json`` and prints the tables.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import nn

import equipoise as eq

ROOT = Path(__file__).parents[1]
SIZES = {"small": (8, 32, 1, 2, 64, 400), "large": (64, 1024, 3, 3, 256, 12)}  # inputs, width, depth, k, batch, steps
ROWS = 4096


def network(inputs: int, width: int, depth: int, k: int) -> nn.Module:
    """A multilayer perceptron with k outputs."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, k))


def squared(task: int, outputs, batch):
    """The mean squared error of one output."""
    return (outputs[:, task] - batch[1][:, task]).square().mean()


def by_hand(make, x, y, batch_size: int, steps: int, method) -> tuple[float, nn.Module]:
    """A loop as one writes it; the plain mean where there is no method."""
    torch.manual_seed(0)
    k, length = y.shape[1], -(-len(x) // batch_size)
    began = time.process_time()
    model = make()
    balancer = None if method is None else eq.Balancer(method, tasks=[f"t{i}" for i in range(k)], model=model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(steps):
        epoch, place = divmod(step, length)
        if place == 0:
            order = torch.from_numpy(np.random.default_rng([0, 0, epoch]).permutation(len(x)))
            pieces = order.tensor_split(length)
        inputs, targets = x[pieces[place]], y[pieces[place]]
        optimizer.zero_grad()
        outputs = model(inputs)
        losses = {f"t{i}": (outputs[:, i] - targets[:, i]).square().mean() for i in range(k)}
        loss = sum(losses.values()) / k if balancer is None else balancer(losses)
        loss.backward()
        optimizer.step()
    return time.process_time() - began, model


def by_fit(make, x, y, batch_size: int, steps: int, method) -> tuple[float, nn.Module]:
    """The same training by `equipoise.fit`."""
    losses = {f"t{i}": functools.partial(squared, i) for i in range(y.shape[1])}
    began = time.process_time()
    fitted = eq.fit(
        eq.Problem(make, losses, train=(x, y)), method, steps=steps, batch_size=batch_size, every=steps, seed=0
    )
    return time.process_time() - began, fitted.model


def cost(turns: int) -> list[dict]:
    """CPU time of both loops, side by side."""
    rows = []
    for size, (inputs, width, depth, k, batch_size, steps) in SIZES.items():
        generator = torch.Generator().manual_seed(0)
        x, y = torch.randn(ROWS, inputs, generator=generator), torch.randn(ROWS, k, generator=generator)
        make = functools.partial(network, inputs, width, depth, k)
        for method in (eq.LinearScalarization(), eq.UPGrad()):
            given = (make, x, y, batch_size, steps)
            ratios, plain = [], []
            for turn in range(turns + 1):  # the first warms up
                ways = [lambda: by_hand(*given, method), lambda: by_fit(*given, method), lambda: by_hand(*given, None)]  # noqa: B023
                order = (0, 1, 2) if turn % 2 else (2, 1, 0)
                found = {way: ways[way]() for way in order}
                if turn:
                    ratios.append(found[1][0] / found[0][0])
                    plain.append(found[1][0] / found[2][0])
            pairs = zip(found[0][1].parameters(), found[1][1].parameters(), strict=True)
            rows.append(
                {
                    "model": size,
                    "method": type(method).__name__,
                    "fit / hand": statistics.median(ratios),
                    "from": min(ratios),
                    "to": max(ratios),
                    "same weights": all(torch.equal(one, other) for one, other in pairs),
                    "fit / plain mean": statistics.median(plain),
                    "turns": turns,
                }
            )
    return rows


class Schools(nn.Module):
    """A trunk, and a head a school."""

    def __init__(self, inputs: int, k: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(64, 1) for _ in range(k)])


def own(task: int, outputs, batch):
    """The mean squared error of one school's head on its own rows."""
    return (outputs["heads"][task](outputs["features"])[:, 0] - batch[1]).square().mean()


def read_schools(folder: Path) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Inputs and scores of each school, as they are."""
    table = loadmat(folder / "malsar_school" / "school.mat")
    xs = [torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in table["X"].ravel()]
    return xs, [torch.from_numpy(np.asarray(part, dtype=np.float32).ravel()) for part in table["Y"].ravel()]


def schools(folder: Path, steps: int) -> list[dict]:
    """Steps of `fit` in plain steps."""
    xs, ys = read_schools(folder)
    mean, scale = torch.cat(ys).mean(), torch.cat(ys).std()
    ys = [(part - mean) / scale for part in ys]
    k, sizes, whole = len(xs), [len(part) for part in ys], torch.cat(xs)
    make = functools.partial(Schools, xs[0].shape[1], k)
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def plain() -> None:
        optimizer.zero_grad()
        parts = model.trunk(whole).split(sizes)
        losses = [(h(z)[:, 0] - y).square().mean() for h, z, y in zip(model.heads, parts, ys, strict=True)]
        torch.stack(losses).mean().backward()
        optimizer.step()

    base = _median(plain, steps)
    rows = []
    problem = eq.Problem(
        make,
        {f"school {i}": functools.partial(own, i) for i in range(k)},
        train=eq.OwnRows({f"school {i}": (xs[i], ys[i]) for i in range(k)}),
        forward=lambda net, batch: {"features": net.trunk(batch[0]), "heads": net.heads},
        features=lambda outputs: outputs["features"],
    )
    for method in (eq.LinearScalarization(), eq.MGDA(), eq.CAGrad(), eq.UPGrad()):
        marks: list[float] = []
        eq.fit(
            problem, method, steps=steps + 3, batch_size=None, every=1,
            callbacks=[lambda line, net: marks.append(time.process_time())],  # noqa: B023
        )  # fmt: skip
        taken = np.diff(marks[2:])
        rows.append(
            {
                "method": type(method).__name__,
                "fit / plain step": float(np.median(taken)) / base,
                "plain ms": base * 1e3,
            }
        )
    return rows


def _median(step, count: int) -> float:
    taken = []
    for _ in range(count + 3):
        began = time.process_time()
        step()
        taken.append(time.process_time() - began)
    return statistics.median(taken[3:])


def kills(count: int) -> list[dict]:
    """One row a method."""
    with tempfile.TemporaryDirectory() as place:
        program = [sys.executable, "-m", "tests.training.loop.killing", place, "1", str(count)]
        run = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def show(title: str, rows: list[dict]) -> None:
    """Print a table."""
    print(f"\n{title}")
    for row in rows:
        print(
            "  "
            + "  ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="fewer turns and kills")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {"cost": cost(3 if given.quick else 15)}
    show("fit over a hand-written loop, CPU time (goal: at most 1.05)", found["cost"])
    folder = Path(os.environ.get("EQUIPOISE_DATA", ROOT.parent / "shared" / "data"))
    if folder.is_dir():
        found["schools"] = schools(folder, 5 if given.quick else 15)
        show("London schools, 139 tasks, all rows a step (goal: at most 2)", found["schools"])
    else:
        print(f"no folder of real data at {folder}: London schools are left out")
    found["kills"] = kills(2 if given.quick else 20)
    bad = [row["method"] for row in found["kills"] if row["equal"] != row["kills"]]
    total = sum(row["kills"] for row in found["kills"])
    hits = sum(row["in time"] for row in found["kills"])
    print(f"\nkill -9: {total} kills of {len(found['kills'])} methods, {hits} of them of a run in progress")
    print(f"not equal to the bit: {', '.join(bad) or 'none'}")
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "loop.json").write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
