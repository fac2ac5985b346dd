"""The two-task toy of CAGrad and Nash-MTL at full length: where each method ends, from every published start.

Run::

    OMP_NUM_THREADS=1 python benchmarks/toy.py --out toy --jobs 2

writes ``toy/toy.json`` and ``toy/toy.md``. Two settings: CAGrad's (three starts, losses as they are, 100,000 steps of
Adam) and Nash-MTL's (five starts, first loss times 0.1, 35,000 steps), both with learning rate 1e-3. Nothing is random:
PCGrad's orders have no choice with two tasks. Yet paths through the log valleys are chaotic, so only ends are told.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from _results import table as markdown
from _results import versions, write

import equipoise as eq
from equipoise.problems import CAGRAD_STARTS, NASH_STARTS, TwoTaskToy, descend

METHODS = {
    "mean": eq.LinearScalarization(),
    "MGDA": eq.MGDA(),
    "PCGrad": eq.PCGrad(),
    "CAGrad": eq.CAGrad(c=0.5, rescale="1+c"),
    "IMTL-G": eq.IMTLG(),
    "Nash-MTL": eq.NashMTL(),
}
SETTINGS = {
    "CAGrad's": (TwoTaskToy(), CAGRAD_STARTS, 100_000),
    "Nash-MTL's": (TwoTaskToy((0.1, 1.0)), NASH_STARTS, 35_000),
}
NEAR = 0.05  # an end this close to the mean optimum, in the plane's units, has reached it
ON_SET = 0.05  # and this close to the Pareto set, lies on it


def run(task: tuple[str, str, float, int]) -> list[dict[str, object]]:
    """One method in one setting, from all its starts."""
    setting, name, learning_rate, divisor = task
    torch.set_num_threads(1)
    toy, starts, steps = SETTINGS[setting]
    optimum, pareto = toy.mean_optimum(), toy.pareto_points(np.linspace(0, 1, 2001))
    before = time.perf_counter()
    paths = descend(METHODS[name], toy, starts, steps=steps // divisor, learning_rate=learning_rate)
    seconds = time.perf_counter() - before
    return [
        {
            "setting": setting,
            "method": repr(path.method),
            "name": name,
            "start": start,
            "steps": steps // divisor,
            "learning_rate": learning_rate,
            "end": path.end.tolist(),
            "losses": toy.losses(path.end).tolist(),
            "to_mean_optimum": float(np.linalg.norm(path.end - optimum)),
            "to_pareto_set": float(np.linalg.norm(pareto - path.end, axis=1).min()),
            "statuses": path.statuses,
            "seconds_for_all_starts": seconds,
        }
        for start, path in zip(starts, paths, strict=True)
    ]


def table(records: list[dict]) -> str:
    """One line a method and setting: the ends, and how many reached the mean optimum."""
    lines = []
    for setting, name in dict.fromkeys((record["setting"], record["name"]) for record in records):
        rows = [record for record in records if (record["setting"], record["name"]) == (setting, name)]
        reached = sum(row["to_mean_optimum"] < NEAR for row in rows)
        on_set = sum(row["to_pareto_set"] < ON_SET for row in rows)
        ends = ", ".join("({:.2f}, {:.2f})".format(*row["end"]) for row in rows)
        seconds = rows[0]["seconds_for_all_starts"]
        lines.append((setting, name, f"{reached}/{len(rows)}", f"{on_set}/{len(rows)}", ends, f"{seconds:.0f}"))
    return markdown(("setting", "method", "reached the mean optimum", "on the Pareto set", "ends", "s"), lines)


def main() -> None:
    """Parses, runs, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for toy.json and toy.md")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--divisor", type=int, default=1, help="divides the number of steps")
    options = parser.parse_args()
    tasks = [(setting, name, options.learning_rate, options.divisor) for setting in SETTINGS for name in METHODS]
    with ProcessPoolExecutor(options.jobs) as pool:
        records = [record for found in pool.map(run, tasks) for record in found]
    about = versions("equipoise", "torch", "numpy")
    head = ", ".join(f"{name} {value}" for name, value in about.items())
    optima = "; ".join(
        "{}: ({:.2f}, {:.2f})".format(setting, *toy.mean_optimum()) for setting, (toy, *_) in SETTINGS.items()
    )
    text = (
        f"# The two-task toy\n\n{head}; Adam, learning rate {options.learning_rate:g}, steps divided by "
        f"{options.divisor}. Mean optimum: {optima}. Reached: within {NEAR:g}.\n\n{table(records)}\n"
    )
    write(options.out, "toy", {"about": about, "records": records}, text)


if __name__ == "__main__":
    main()
