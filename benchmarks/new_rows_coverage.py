"""Coverage of the intervals on new rows: simulated tables, the true difference as the mean over all of them.

    python benchmarks/new_rows_coverage.py [draws] [settings]

Each setting draws tables of n rows, p = 10 standard normal inputs and k = 3 targets Y = X A + noise, where A has the
singular values that the setting names. Measured as the audit measures: equal weights at widths 1 and 2, every task with
every other one, and all tasks at the width that the training part chooses. The truth of each number is its mean over
the draws (cross-validation with training parts of nine tenths of the rows); of 200 draws a coverage of .95 is known to
.03, one of .80 to .06 (95 %, the range is printed). A cell is one task of one width.

* coverage: how often the 95 % interval of a cell holds the truth, and that of all tasks of a width at once;
* wrong signs: how often the interval of a cell lies on the other side of 0 than the truth;
* claims about pairs: how often any of the six ordered pairs of a table is told to help or harm, and wrongly.
"""

import sys
from itertools import product

import numpy as np
from scipy.stats import beta
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
SETTINGS = list(product((50, 200), (0.5, 1.5), SPECTRA))


def draw(generator: np.random.Generator, rows: int, spectrum: tuple[float, ...], noise: float):
    """One table; the coefficients' singular vectors are fixed, so that all draws have the same truth."""
    fixed = np.random.default_rng(7)
    left = np.linalg.qr(fixed.normal(size=(INPUTS, TASKS)))[0]
    right = np.linalg.qr(fixed.normal(size=(TASKS, TASKS)))[0]
    A = left * np.sqrt(spectrum) @ right
    X = generator.normal(size=(rows, INPUTS))
    return X, X @ A + noise * generator.normal(size=(rows, TASKS))


def measured(rows: int, noise: float, name: str, draws: int) -> dict[str, np.ndarray]:
    """Changes and standard errors over the draws: by width (draws, 2, k), of pairs (draws, 6), of the chosen width."""
    generator, quantile = np.random.default_rng(1), student.ppf(1 - cv.LEVEL / (2 * TASKS), 19)
    others = ~np.eye(TASKS, dtype=bool)
    found: dict[str, list] = {}
    for _ in range(draws):
        X, Y = draw(generator, rows, SPECTRA[name], noise)
        result = cv.measure(X, Y, row_blocks(rows, seed=1), tasks=tuple("abc"), widths=[1, 2], searched=False)
        rungs, sharing = [result.rungs["equal_weights", width] for width in (1, 2)], result.about.sharing
        for key, value in {
            "width": [rung.differences for rung in rungs],
            "width error": np.array([rung.margins for rung in rungs]) / quantile,
            "pair": np.array(sharing.pairs)[others],
            "pair error": np.array(sharing.pair_errors)[others],
            "pair p": np.array(sharing.pair_p_values)[others],
            "chosen": sharing.together,
            "chosen error": sharing.together_errors,
        }.items():
            found.setdefault(key, []).append(value)
    return {key: np.array(value) for key, value in found.items()}


def span(share: float, draws: int) -> str:
    """A share of the draws with its 95 % interval (Clopper and Pearson)."""
    hits = round(share * draws)
    low = beta.ppf(0.025, hits, draws - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, draws - hits) if hits < draws else 1.0
    return f"{share:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print a line a setting and width, then the least coverage, the cells below .90 and the wrong signs."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    settings = SETTINGS[: int(sys.argv[2])] if len(sys.argv) > 2 else SETTINGS
    alone, at_once = student.ppf(0.975, 19), student.ppf(1 - cv.LEVEL / (2 * TASKS), 19)
    cells, wrong, together = [], [], []
    print("n, noise, spectrum, what: coverage a cell, all tasks at once, wrong signs; standard error over true one")
    for rows, noise, name in settings:
        found = measured(rows, noise, name, draws)
        kinds = {f"width {q + 1}": (found["width"][:, q], found["width error"][:, q]) for q in (0, 1)}
        kinds |= {"chosen": (found["chosen"], found["chosen error"]), "pairs": (found["pair"], found["pair error"])}
        for what, (centre, error) in kinds.items():
            truth = centre.mean(axis=0)
            ratio = np.abs(centre - truth) / np.maximum(error, 1e-12)
            inside, both = (ratio <= alone).mean(axis=0), (ratio <= at_once).all(axis=1).mean()
            other = ((np.abs(centre) > alone * error) & (np.sign(centre) != np.sign(truth))).mean(axis=0)
            size = np.sqrt((error**2).mean(axis=0)) / np.maximum(centre.std(axis=0), 1e-12)
            if what.startswith("width"):
                cells += inside.tolist()
                wrong += other.tolist()
                together.append(both)
            print(
                f"{rows}, {noise}, {name}, {what}: {np.round(inside, 3).tolist()}, {span(both, draws)}, "
                f"{np.round(other, 3).tolist()}; {np.round(size, 2).tolist()}",
                flush=True,
            )
        told = found["pair p"] <= cv.LEVEL
        false = told & (np.sign(found["pair"]) != np.sign(found["pair"].mean(axis=0)))
        print(f"    any claim about a pair {told.any(axis=1).mean():.3f}, a wrong one {false.any(axis=1).mean():.3f}")
    every = np.array(cells)
    print(
        f"{len(every)} cells of {draws} draws: mean coverage {every.mean():.3f}, least {span(every.min(), draws)}; "
        f"below .90 {(every < 0.9).mean():.0%}; all tasks at once: mean {np.mean(together):.3f}, least "
        f"{span(min(together), draws)}; wrong signs at most {max(wrong):.1%} a cell"
    )


if __name__ == "__main__":
    main()
