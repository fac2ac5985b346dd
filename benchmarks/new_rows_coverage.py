"""Coverage of the intervals on new rows: simulated tables, the true difference from the population's moments.

    python benchmarks/new_rows_coverage.py [draws] [settings]

Each setting draws tables of n rows, p = 10 standard normal inputs and k = 3 targets Y = X A + noise, where A has the
singular values that the setting names. The interval of `equal weights` at width q is made as the audit makes it, but
for one task at a time (a 95 % interval a task, as coverage is counted). Two truths stand beside it:

* the mean over draws of the cross-validated difference itself, with training parts of nine tenths of the rows (what the
  centre estimates): coverage of it is the number in the table;
* which sign it has: a wrong sign is an interval that lies on the other side of 0.
"""

import sys
from itertools import product

import numpy as np
from scipy.stats import t as student

from equipoise.audits.held_out import cross_validation as cv
from equipoise.linear.held_out.row_blocks import row_blocks

INPUTS, TASKS = 10, 3
SPECTRA = {
    "rank 1": (1.0, 0.0, 0.0),
    "ratio .2": (1.0, 0.2, 0.04),
    "ratio .65": (1.0, 0.65, 0.42),
    "even": (1.0, 1.0, 1.0),
}
"""Eigenvalues of the Gramian of the true predictions, relative to the first; singular values are their roots."""


def draw(generator: np.random.Generator, rows: int, spectrum: tuple[float, ...], noise: float):
    """One table; the coefficients' right singular vectors are fixed, so that all draws have the same truth."""
    fixed = np.random.default_rng(7)
    left = np.linalg.qr(fixed.normal(size=(INPUTS, TASKS)))[0]
    right = np.linalg.qr(fixed.normal(size=(TASKS, TASKS)))[0]
    A = left * np.sqrt(spectrum) @ right
    X = generator.normal(size=(rows, INPUTS))
    return X, X @ A + noise * generator.normal(size=(rows, TASKS))


def main() -> None:
    """Print a line a setting, then the least coverage, the share of cells below .90 and the wrong signs."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10**6
    pointwise, shown = student.ppf(0.975, 19), student.ppf(1 - cv.LEVEL / (2 * TASKS), 19)
    covered, wrong = [], []
    settings = list(product((50, 200), (0.5, 1.5), SPECTRA.items(), (1, 2)))[:most]
    print("n, noise, spectrum, width: coverage a task (pointwise), all tasks at once (as shown), wrong signs")
    for rows, noise, (name, spectrum), width in settings:
        generator = np.random.default_rng(0)
        centres, margins = [], []
        for _ in range(draws):
            X, Y = draw(generator, rows, spectrum, noise)
            found = cv.measure(
                X, Y, row_blocks(rows, seed=1), tasks=tuple("abc"), widths=[width], searched=False
            ).rungs["equal_weights", width]
            centres.append(found.differences)
            margins.append(found.margins)
        centre, margin = np.array(centres), np.array(margins)
        truth = centre.mean(axis=0)
        inside = np.abs(centre - truth) <= margin * pointwise / shown
        together = (np.abs(centre - truth) <= margin).all(axis=1).mean()
        other_side = (np.abs(centre) > margin * pointwise / shown) & (np.sign(centre) != np.sign(truth))
        covered += inside.mean(axis=0).tolist()
        wrong += other_side.mean(axis=0).tolist()
        print(
            f"{rows}, {noise}, {name}, {width}: {np.round(inside.mean(axis=0), 3).tolist()}, {together:.3f}, "
            f"{np.round(other_side.mean(axis=0), 3).tolist()}",
            flush=True,
        )
    cells = np.array(covered)
    print(
        f"{len(cells)} cells of {draws} draws: mean coverage {cells.mean():.3f}, least {cells.min():.2f}, "
        f"{(cells < 0.9).mean():.0%} below .90; wrong signs at most {max(wrong):.1%} a cell"
    )


if __name__ == "__main__":
    main()
