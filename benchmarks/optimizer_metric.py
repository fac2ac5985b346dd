"""Does a Gramian in Adam's own metric lead to lower losses, and how often does Adam's step raise some task's loss?

Four small problems of three tasks (`_small_problems.py`), MGDA and UPGrad, Adam at its default settings, batches of 64,
150 steps, ten seeds. Each pair of runs has the same data, initial model and batches; one of the two balances with
``metric=optimizer``. Compared are the final losses on 300 rows that were not trained on: the ratio of their geometric
means over the tasks, with against without, as the geometric mean over the seeds with a 95 % interval (t, on the
logarithms). Below 1 the metric gains.

``eq.record`` counts every tenth step: in which share of the measured steps did the step that Adam took raise some
task's loss to first order, on the shared parameters; the same for Adam with beta1 = 0 (two seeds).

Run::

    OMP_NUM_THREADS=1 python benchmarks/optimizer_metric.py --out optimizer_metric [--quick]

writes ``optimizer_metric.json`` and ``optimizer_metric.md`` there. About two minutes of one core; ``--quick`` takes
two seeds and 100 steps.
"""

import argparse
import logging
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import machine, table, write
from _small_problems import PROBLEMS, TASKS, Net, Problem, batches, loss_of
from scipy.stats import t as student

import equipoise as eq
from equipoise.training.recording.folder import read_training

METHODS = {"MGDA": eq.MGDA, "UPGrad": eq.UPGrad}
HELD_OUT, BATCH, RATE = 300, 64, 2e-3


def run(problem: Problem, method: str, seed: int, steps: int, *, metric: bool, beta1: float) -> dict[str, Any]:
    """One training: final held-out losses, and the share of measured steps that raised some task."""
    x, targets = problem.data(seed)
    torch.manual_seed(seed)
    net = Net(x.shape[1], problem)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, betas=(beta1, 0.999))
    balancer = eq.Balancer(METHODS[method](), tasks=TASKS, model=net, metric=optimizer if metric else None)
    drawn = batches(len(x) - HELD_OUT, BATCH, seed)
    with tempfile.TemporaryDirectory() as folder:
        recorder = eq.record(balancer, Path(folder) / "run", every=50, steps_taken=10)
        for _ in range(steps):
            rows = next(drawn)
            outputs = zip(problem.kinds, net(x[rows]), targets, strict=True)
            losses = [loss_of(kind, output, target[rows]) for kind, output, target in outputs]
            optimizer.zero_grad()
            balancer(losses).backward()
            optimizer.step()
        recorder.close()
        taken = [step.shared for line in read_training(Path(folder) / "run").lines for step in line.taken]
    with torch.no_grad():
        outputs = zip(problem.kinds, net(x[-HELD_OUT:]), targets, strict=True)
        held_out = [float(loss_of(kind, output, target[-HELD_OUT:])) for kind, output, target in outputs]
    raised = [any(value is not None and value > 0 for value in shared) for shared in taken if shared is not None]
    return {
        "problem": problem.name, "method": method, "seed": seed, "metric": metric, "beta1": beta1,
        "held_out": held_out, "raised": sum(raised), "measured": len(raised),
    }  # fmt: skip


def compared(runs: list[dict[str, Any]], problem: str, method: str) -> tuple[float, float, float]:
    """Ratio of the losses with the metric to those without, and its 95 % interval."""
    logs: dict[bool, dict[int, float]] = {True: {}, False: {}}
    for one in runs:
        if one["problem"] == problem and one["method"] == method and one["beta1"] > 0:
            logs[one["metric"]][one["seed"]] = float(np.mean(np.log(one["held_out"])))
    differences = np.array([logs[True][seed] - logs[False][seed] for seed in logs[True]])
    n = len(differences)
    half = float(student.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    middle = float(differences.mean())
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def share(runs: list[dict[str, Any]], problem: str, method: str, *, metric: bool, beta1: float) -> str:
    """Share of measured steps that raised some task, with their number."""
    chosen = [
        one for one in runs
        if (one["problem"], one["method"], one["metric"], one["beta1"]) == (problem, method, metric, beta1)
    ]  # fmt: skip
    measured = sum(one["measured"] for one in chosen)
    return f"{100 * sum(one['raised'] for one in chosen) / measured:.0f} % of {measured}" if measured else "n/a"


def main() -> None:
    """Runs everything and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="two seeds and 100 steps")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("equipoise").setLevel(logging.ERROR)
    seeds, steps = (2, 100) if chosen.quick else (10, 150)
    runs = []
    for problem in PROBLEMS:
        for method in METHODS:
            for metric in (False, True):
                runs += [run(problem, method, seed, steps, metric=metric, beta1=0.9) for seed in range(seeds)]
                runs += [run(problem, method, s, steps, metric=metric, beta1=0.0) for s in range(2)]
    head = f"{seeds} seeds, {steps} steps, Adam at {RATE}, batches of {BATCH}; {machine()}."
    heads = (
        "problem", "method", "held-out losses, metric / plain", "95 %", "raised, plain", "raised, metric",
        "raised, plain, beta1 = 0", "raised, metric, beta1 = 0",
    )  # fmt: skip
    rows = []
    for problem in PROBLEMS:
        for method in METHODS:
            ratio, low, high = compared(runs, problem.name, method)
            kinds = [(beta1, metric) for beta1 in (0.9, 0.0) for metric in (False, True)]
            cells = [share(runs, problem.name, method, metric=metric, beta1=beta1) for beta1, metric in kinds]
            rows.append((problem.name, method, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}", *cells))
    write(chosen.out, "optimizer_metric", runs, f"{head}\n\n{table(heads, rows)}")


if __name__ == "__main__":
    main()
