"""Fronts: hypervolume of sets over the best K-point value, angles of rays, three losses, forty losses, bounds.

Defaults for every problem, five seeds, float64 on one CPU thread. The best 10-point values of two losses are computed
here by dynamic programming on 1501 points of the true front; those of three losses (.6627 for DTLZ2, .2256 for MaF1,
15 points, reference 1.1) are the best known from long local search, so ratios above 1 are possible.

Writes ``fronts.json`` and ``fronts.md``. Run::

    OMP_NUM_THREADS=1 python benchmarks/fronts.py [--out DIR] [--seeds 5] [--steps 1000]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import machine, table, write

import equipoise as eq
from equipoise.fronts.indicators import best_value, controllability, hypervolume, ray_angles
from equipoise.problems import DTLZ2, named
from equipoise.training.loop.feeding import make_feed
from equipoise.training.stacked.copies import make_copies
from equipoise.training.stacked.many_fits import fit_together

TWO = ("quad", "expo", "zdt1", "zdt2", "zdt3", "f1", "f2", "f3", "f4", "f5", "f6")
HONEST = ("zdt4", "zdt6")
"""Shown, but in no number to reach: gradients end in one of ZDT4's local fronts."""
THREE = {"dtlz2": 0.6627, "maf1": 0.2256}
ON_RAYS = ("quad", "expo", "zdt1", "zdt2", "f1", "f2", "f3", "f4", "f5", "f6")


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and CPU seconds."""
    began = time.process_time()
    found = call()
    return found, time.process_time() - began


def sets_of_two(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Ten points for two losses."""
    rows = []
    for name in (*TWO, *HONEST):
        problem = named(name)
        best = best_value(problem.front(1501), problem.reference, 10)
        runs = [timed(lambda s=seed, n=name: eq.front.find_set(n, 10, steps, s)) for seed in range(seeds)]
        ratios = [found.hypervolume / best for found, _ in runs]
        exact = max(float(np.abs(problem.losses(found.parameters) - found.losses).max()) for found, _ in runs)
        rows.append(
            {
                "problem": name,
                "n": problem.parameters,
                "best": best,
                "ratios": ratios,
                "cpu": [seconds * 1000 / steps for _, seconds in runs],
                "dominated": [int(found.dominated.sum()) for found, _ in runs],
                "mismatch": exact,
            }
        )
    return rows


def sets_of_three(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Fifteen points for three losses."""
    rows = []
    for name, best in THREE.items():
        runs = [timed(lambda s=seed, n=name: eq.front.find_set(n, 15, steps, s)) for seed in range(seeds)]
        rows.append(
            {
                "problem": name,
                "best": best,
                "ratios": [found.hypervolume / best for found, _ in runs],
                "cpu": [seconds * 1000 / steps for _, seconds in runs],
            }
        )
    return rows


def many_losses(steps: int) -> list[dict[str, Any]]:
    """Fifty points for forty losses, and ten points that together cover them."""
    rows = []
    for size, goal in ((50, "rays"), (10, "cover")):
        found, seconds = timed(lambda s=size, g=goal: eq.front.find_set(DTLZ2(k=40), s, steps, goal=g))
        cover = float(found.losses.min(axis=0).max())
        rows.append(
            {
                "goal": goal,
                "points": size,
                "non-dominated": float(1 - found.dominated.mean()),
                "cpu": seconds,
                "worst served loss": cover,
            }
        )
    return rows


def on_rays(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Ten rays of two losses, beside weighted sums of the same problem in the same loop."""
    share = np.linspace(0.02, 0.98, 10)
    rays = np.stack([share, 1 - share], axis=1)
    rows = []
    for name in ON_RAYS:
        angles, ratios = [], []
        for seed in range(seeds):
            found, ours = timed(
                lambda s=seed, n=name: eq.front.find_points(n, [eq.Ray(tuple(ray)) for ray in rays.tolist()], steps, s)
            )
            _, plain = timed(
                lambda s=seed, n=name: eq.front.find_points(
                    n, [eq.LinearScalarization(tuple(ray)) for ray in rays.tolist()], steps, s
                )
            )
            angles += ray_angles(found.losses, rays).tolist()
            ratios.append(ours / plain)
        rows.append({"problem": name, "angles": angles, "time over weighted sums": ratios})
    return rows


def under_bounds(seeds: int, steps: int) -> list[dict[str, Any]]:
    """The second loss as low as it goes with the first at most .1, .5, .9; the optimum is on the true front."""
    rows = []
    for name in ("quad", "expo", "zdt1", "zdt2"):
        front = named(name).front(20001)
        for limit in (0.1, 0.5, 0.9):
            optimum = float(front[front[:, 0] <= limit, 1].min())
            runs = [
                eq.front.find_points(name, [eq.Bounds({"f1": limit})], steps, seed) for seed in range(min(seeds, 3))
            ]
            rows.append(
                {
                    "problem": name,
                    "limit": limit,
                    "excess": max(float(max(found.losses[0, 0] - limit, 0.0) / limit) for found in runs),
                    "above optimum": max(float(found.losses[0, 1] - optimum) for found in runs),
                    "statuses": sorted({found.statuses[0] for found in runs}),
                }
            )
    return rows


def learned(seeds: int, steps: int) -> list[dict[str, Any]]:
    """One network for all preferences: 100 of them against the true front."""
    share = np.linspace(0, 1, 100)
    preferences = np.stack([share, 1 - share], axis=1)
    rows = []
    for name in ("expo", "zdt1", "zdt2", "f1", "f2", "f3", "f4", "f5", "f6"):
        problem = named(name)
        whole = hypervolume(problem.front(20001), problem.reference)
        runs = [timed(lambda s=seed, n=name: eq.front.learn_front(n, steps, s)) for seed in range(seeds)]
        losses = [front.losses(preferences) for front, _ in runs]
        rows.append(
            {
                "problem": name,
                "ratios": [hypervolume(one, problem.reference) / whole for one in losses],
                "nondominated": [float(eq.front.nondominated(one).mean()) for one in losses],
                "control": [float(controllability(preferences, one).min()) for one in losses],
                "cpu": [seconds for _, seconds in runs],
            }
        )
    return rows


def stacked(count: int = 32, rows: int = 32, blocks: int = 9, steps: int = 20) -> dict[str, Any]:
    """K small networks in one vectorized step, beside a loop over them and beside the steps of `eq.fit`.

    Blocks of steps in turns in this process; the ratio is the median over blocks, with the smallest and largest.
    """
    draw = torch.Generator().manual_seed(0)
    data = torch.randn(1024, 16, generator=draw), torch.randn(1024, 2, generator=draw)
    problem = eq.Problem(
        lambda: torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2)),
        {task: lambda out, batch, i=i: (out[:, i] - batch[1][:, i]) ** 2 for i, task in enumerate("ab")},
        train=data,
    )
    source = problem.sources["train"]
    feeds = [make_feed(source, rows, seed, torch.device("cpu")) for seed in range(count)]
    copies = make_copies(problem, [problem.make_model() for _ in feeds], None, [feed.batch(0) for feed in feeds])
    if copies.reason:
        raise RuntimeError(copies.reason)
    weights = torch.full((count, 2), 0.5, dtype=torch.float64)
    models = [problem.make_model() for _ in feeds]
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-3) for model in models]

    def together(step: int) -> None:
        losses, _ = copies.losses([feed.batch(step) for feed in feeds])
        copies.step(losses, weights)

    def loop(step: int) -> None:
        for model, optimizer, feed in zip(models, optimizers, feeds, strict=True):
            inputs, targets = feed.batch(step).data
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean(0).mean().backward()
            optimizer.step()

    def seconds(call: Callable[[int], None]) -> float:
        return timed(lambda: [call(step) for step in range(steps)])[1]

    seconds(together), seconds(loop)
    ratios = [seconds(loop) / seconds(together) for _ in range(blocks)]
    runs = [(eq.LinearScalarization(), seed) for seed in range(count)]
    whole = fit_together(problem, runs, {"steps": 60, "batch_size": rows})
    return {"models": count, "rows": rows, "over a loop": ratios, "over eq.fit": whole.words}


def markdown(found: dict[str, Any]) -> str:
    """The tables."""
    counted = [ratio for row in found["two"] if row["problem"] in TWO for ratio in row["ratios"]]
    angles = np.concatenate([row["angles"] for row in found["rays"]])
    factors = np.concatenate([row["time over weighted sums"] for row in found["rays"]])
    two = [
        (
            row["problem"],
            row["n"],
            f"{row['best']:.5f}",
            f"{np.mean(row['ratios']):.4f}",
            f"{min(row['ratios']):.4f}",
            f"{np.median(row['cpu']):.2f}",
            sum(row["dominated"]),
            f"{row['mismatch']:.1e}",
        )
        for row in found["two"]
    ]
    three = [
        (
            row["problem"],
            row["best"],
            f"{np.mean(row['ratios']):.4f}",
            f"{min(row['ratios']):.4f}",
            f"{np.median(row['cpu']):.2f}",
        )
        for row in found["three"]
    ]
    rays = [
        (
            row["problem"],
            f"{np.median(row['angles']):.1e}",
            f"{max(row['angles']):.1e}",
            f"{np.median(row['time over weighted sums']):.2f}",
        )
        for row in found["rays"]
    ]
    many = [
        (
            row["goal"],
            row["points"],
            f"{row['non-dominated']:.2f}",
            f"{row['cpu']:.1f}",
            f"{row['worst served loss']:.3f}",
        )
        for row in found["many"]
    ]
    bounds = [
        (
            row["problem"],
            row["limit"],
            f"{row['excess']:.1e}",
            f"{row['above optimum']:.1e}",
            ", ".join(row["statuses"]),
        )
        for row in found["bounds"]
    ]
    stack = found["stacked"]
    return "\n\n".join(
        [
            f"# Fronts\n\n{found['about']}",
            "## Ten points, two losses: hypervolume over the best 10-point value\n\n"
            f"Mean of {len(TWO)} problems and all seeds {np.mean(counted):.4f}, worst {min(counted):.4f} (ZDT4 and "
            "ZDT6 not counted).",
            table(
                (
                    "problem",
                    "n",
                    "best",
                    "mean",
                    "worst",
                    "CPU s per 1000 steps, median",
                    "dominated points, all seeds",
                    "losses(parameters) - losses",
                ),
                two,
            ),
            "## Fifteen points, three losses: hypervolume over the best known value",
            table(("problem", "best known", "mean", "worst", "CPU s per 1000 steps, median"), three),
            "## Rays, two losses\n\n"
            f"Median angle {np.median(angles):.1e} degrees, largest {max(angles):.1e}; time over weighted sums "
            f"in the same loop, median {np.median(factors):.2f}.",
            table(("problem", "median angle, degrees", "largest", "time over weighted sums, median"), rays),
            "## Forty losses (DTLZ2)",
            table(
                ("goal", "points", "share non-dominated", "CPU s", "largest loss at its best model"),
                many,
            ),
            "## Bounds on the first loss",
            table(
                ("problem", "limit", "largest excess, share of the limit", "second loss above its optimum", "status"),
                bounds,
            ),
            "## One network for all preferences: 100 of them over the true front",
            table(
                ("problem", "mean", "worst", "least share non-dominated", "least rank correlation", "CPU s, median"),
                [
                    (
                        row["problem"],
                        f"{np.mean(row['ratios']):.4f}",
                        f"{min(row['ratios']):.4f}",
                        f"{min(row['nondominated']):.2f}",
                        f"{min(row['control']):.2f}",
                        f"{np.median(row['cpu']):.1f}",
                    )
                    for row in found["learned"]
                ],
            ),
            f"## {stack['models']} small networks in one step, {stack['rows']} rows each\n\n"
            f"A loop over them takes {np.median(stack['over a loop']):.1f} times as long (blocks in turns, CPU time, "
            f"{min(stack['over a loop']):.1f} to {max(stack['over a loop']):.1f}); steps of eq.fit: "
            f"{stack['over eq.fit']}.",
        ]
    )


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        "about": f"{options.seeds} seeds, {options.steps} steps, defaults; equipoise {eq.__version__}, {machine()}.",
        "two": sets_of_two(options.seeds, options.steps),
        "three": sets_of_three(options.seeds, options.steps),
        "many": many_losses(options.steps),
        "rays": on_rays(options.seeds, options.steps),
        "bounds": under_bounds(options.seeds, options.steps),
        "learned": learned(options.seeds, 2 * options.steps),
        "stacked": stacked(),
    }
    write(options.out, "fronts", found, markdown(found))


if __name__ == "__main__":
    main()
