"""How long the exact answers about linear models take, and how they grow with the number of tasks.

    python benchmarks/linear.py --out build/bench

Process CPU seconds, one thread, median of the repeats; JSON and Markdown. SARCOS is read from ``EQUIPOISE_DATA`` and
left out, said so, where it is not there.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _results import table, write

from equipoise.data import load
from equipoise.linear import LinearProblem, SecondMoments, audit_problem, condition, reach, scalarized, tchebycheff


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median process time of some calls, after one that warms up."""
    call()
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def gramian(tasks: int, seed: int = 0) -> np.ndarray:
    """Of random predictions, unit variance."""
    factor = np.random.default_rng(seed).normal(size=(2 * tasks, tasks))
    product = factor.T @ factor
    norms = np.sqrt(np.diag(product))
    return product / np.outer(norms, norms)


def rows() -> list[dict[str, object]]:
    """All measurements."""
    found: list[dict[str, object]] = []

    def add(what: str, call: Callable[[], object], repeats: int = 5) -> None:
        found.append({"what": what, "seconds": seconds(call, repeats)})

    for tasks in (40, 1000):
        many = gramian(tasks)
        add(f"condition, {tasks} tasks, width 1", lambda G=many: condition(G, 1))
    for tasks, width in ((7, 2), (20, 5), (40, 10)):
        G = gramian(tasks)
        add(f"scalarized, {tasks} tasks, width {width}", lambda G=G, q=width: scalarized(G, np.ones(len(G)), q))
        add(f"tchebycheff, {tasks} tasks, width {width}", lambda G=G, q=width: tchebycheff(G, np.ones(len(G)), q), 1)
        target = scalarized(G, np.ones(tasks), width).captured * 0.97
        add(f"reach, {tasks} tasks, width {width}", lambda G=G, q=width, e=target: reach(G, q, e), 1)
    draw = np.random.default_rng(0)
    X, Y = draw.normal(size=(200_000, 100)), draw.normal(size=(200_000, 5))
    products = seconds(lambda: (X.T @ X, X.T @ Y, Y.T @ Y), 5)
    found.append({"what": "moments of 200,000 x 100 rows over the products", "ratio": moments(X, Y) / products})
    path = Path(os.environ.get("EQUIPOISE_DATA", "../shared/data")) / "sarcos" / "sarcos_inv_test.mat"
    if path.is_file():
        table = load(path)
        problem = LinearProblem(table.inputs, table.targets, tasks=table.tasks)
        add("audit of SARCOS, 7 tasks, all widths", lambda: audit_problem(problem), 1)
    else:
        found.append({"what": f"audit of SARCOS: no file at {path}"})
    return found


def moments(X: np.ndarray, Y: np.ndarray) -> float:
    """Seconds to stream them in batches of 20,000 rows."""

    def stream() -> None:
        sums = SecondMoments()
        for start in range(0, len(X), 20_000):
            sums.update(X[start : start + 20_000], Y[start : start + 20_000])

    return seconds(stream, 5)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    folder = parser.parse_args().out
    found = rows()
    lines = [(row["what"], f"{row.get('seconds', row.get('ratio', float('nan'))):.4g}") for row in found]
    write(folder, "linear", found, table(("what", "CPU seconds or ratio"), lines))


if __name__ == "__main__":
    main()
