"""Held-out losses of `equipoise fit` on public tables, over those of scikit-learn's gradient boosting (defaults).

    EQUIPOISE_DATA=... python benchmarks/tables.py enb atp1d sarcos rf1 adult --seeds 5 --jobs 1 --out runs

For every target: mean squared error or log loss on the test rows, divided by that of gradient boosting (which trains
on training and validation rows together) on the same rows, as geometric mean over seeded splits inside the file; for
the joint network, for separate ones, and for whichever of the two the validation part selected. Targets at which
boosting is better come first. The last lines hold the geometric means over the targets of each table, and over all.
The same command with the same --out goes on where it was interrupted.
"""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from equipoise.core.records.fitted import FitRecord
from equipoise.training.tables.fit_table import fit_table

DATA = Path(os.environ.get("EQUIPOISE_DATA", Path(__file__).parents[2] / "shared" / "data"))
ADULT = [
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship", "race",
    "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
]  # fmt: skip
TARGETS = {"enb": 2, "rf1": 8, "atp1d": 6}  # the last columns of the file


def adult() -> pd.DataFrame:
    """Both files of Adult; the second target is whether somebody never married."""
    parts = [
        pd.read_csv(
            DATA / "adult" / f"adult-{part}.csv", header=None, names=ADULT, skipinitialspace=True, na_values="?"
        )
        for part in ("train", "test")
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["income"] = frame["income"].str.rstrip(".")
    frame["never-married"] = frame.pop("marital-status") == "Never-married"
    return frame


def fitted(name: str, seed: int, jobs: int, out: Path | None) -> FitRecord:
    """One split of one table with joint and separate networks, and the bar."""
    options = {
        "seeds": [seed], "jobs": jobs, "baselines": ("separate", "boosting"), "progress": tell,
        "folder": out and out / f"{name}-{seed}",
    }  # fmt: skip
    if name == "adult":
        return fit_table(adult(), targets=["income", "never-married"], **options).record
    if name == "sarcos":
        return fit_table(DATA / "sarcos" / "sarcos_inv_test.mat", **options).record
    path = DATA / "mulan" / f"{name}.arff"
    columns = [
        line.split()[1].strip("'\"") for line in path.read_text().splitlines() if line.lower().startswith("@attr")
    ]
    return fit_table(path, targets=columns[-TARGETS[name] :], **options).record


def tell(done: int, total: int, words: str) -> None:
    """Print where a fit stands."""
    print(f"  {done}/{total} {words}", flush=True)


def ratios(record: FitRecord) -> dict[str, dict[str, float]]:
    """Target -> entrant, and "selected" -> its test loss over that of boosting."""
    test = {entrant.name: entrant.runs[0].test for entrant in record.entrants}
    return {
        task: {
            name: test[entrant][task] / test["boosting"][task]
            for name, entrant in {"joint": "joint", "separate": "separate", "selected": chosen}.items()
        }
        for task, chosen in record.selected.items()
    }


def mean(values: Iterable[float]) -> float:
    """Geometric mean."""
    return float(np.exp(np.mean(np.log(list(values)))))


def show(found: dict[str, list[FitRecord]]) -> None:
    """The table of every target, and the means."""
    rows, tables = [], []
    for name, records in found.items():
        each = [ratios(record) for record in records]
        over = {
            task: {key: mean(one[task][key] for one in each) for key in ("selected", "joint", "separate")}
            for task in each[0]
        }
        rows += [
            (values, name, task, sum(record.selected[task] == "separate" for record in records), len(records))
            for task, values in over.items()
        ]
        seconds = {entrant.name: entrant.runs[0].seconds for entrant in records[-1].entrants}
        means = {key: mean(values[key] for values in over.values()) for key in ("selected", "joint", "separate")}
        tables.append((name, means, seconds))
    print("\nloss over that of gradient boosting, held out; misses (above 1) first")
    print(f"{'table':8} {'target':24} {'selected':>9} {'joint':>9} {'separate':>9}  separate selected in")
    for values, name, task, separate, seeds in sorted(rows, key=lambda row: -row[0]["selected"]):
        print(f"{name:8} {task[:24]:24} {_numbers(values)}  {separate} of {seeds} splits")
    print()
    for name, values, seconds in tables:
        took = ", ".join(f"{entrant} {value:.0f} s" for entrant, value in seconds.items())
        print(f"{name:33} {_numbers(values)}  last split: {took} (wall)")
    print(f"geometric mean over tables {mean(values['selected'] for _, values, _ in tables):.3f}, ", end="")
    print(f"over targets {mean(row[0]['selected'] for row in rows):.3f}", flush=True)


def _numbers(values: dict[str, float]) -> str:
    return " ".join(f"{values[key]:9.3f}" for key in ("selected", "joint", "separate"))


def main() -> None:
    """Fit every table that is asked for, one split after the other, and print after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=["enb", "adult", "sarcos", "atp1d", "rf1"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(f"no tables here: {DATA} is not there; name their folder in EQUIPOISE_DATA")
        return
    found: dict[str, list[FitRecord]] = {name: [] for name in asked.tables}
    for seed in range(asked.seeds):
        for name in asked.tables:
            print(f"{name}, split {seed}", flush=True)
            found[name].append(fitted(name, seed, asked.jobs, asked.out))
        show(found)


if __name__ == "__main__":
    main()
