"""The ladder's numbers against programs that know nothing of it: grids in NumPy, a semidefinite programme in CVXPY."""

from itertools import product

import cvxpy as cp
import numpy as np
import pytest

from equipoise.audits.widths.optima import Solutions, in_shares
from equipoise.audits.widths.remedies import build_ladder
from equipoise.linear import LinearProblem


def table(seed, tasks=3):
    draw = np.random.default_rng(seed)
    X = draw.normal(size=(150, 4))
    noise = draw.uniform(0.2, 3, tasks) * draw.normal(size=(150, tasks))
    return X, X @ draw.normal(size=(4, tasks)) + noise


def predictions(X, Y):
    """Least-squares predictions of standardised targets over the root of n, and each target's own best loss."""
    X, Y = X - X.mean(0), (Y - Y.mean(0)) / Y.std(0)
    fitted = X @ np.linalg.lstsq(X, Y, rcond=None)[0] / np.sqrt(len(Y))
    return fitted, 1 - (fitted**2).sum(0)


def excess_of_weights(fitted, weights, width):
    shared = np.linalg.svd(fitted * np.sqrt(weights), full_matrices=False)[0][:, :width]
    return ((fitted - shared @ (shared.T @ fitted)) ** 2).sum(0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 2])
def test_every_rung_of_a_ladder_is_what_grids_and_a_semidefinite_programme_say(seed, width):
    X, Y = table(seed)
    fitted, own = predictions(X, Y)
    solutions = Solutions(in_shares(LinearProblem(X, Y)))
    ladder, remedy = build_ladder(solutions.shares, width, solutions.at, 0.01)
    rungs = {rung.kind: rung for rung in ladder}
    assert rungs["separate"].losses == pytest.approx(own, abs=1e-9)
    equal = excess_of_weights(fitted, np.ones(3), width)
    assert rungs["equal_weights"].worst_excess == pytest.approx(equal.max(), abs=1e-9)
    for rung in ladder:
        if rung.weights is not None:
            excess = excess_of_weights(fitted, np.array(rung.weights), rung.width)
            assert rung.losses == pytest.approx(own + excess, abs=1e-6)

    # weights: no point of a grid does better than those handed out, but for the digits they are written with
    steps = 60
    grid = [np.array([i, j, steps - i - j]) / steps for i, j in product(range(1, steps), repeat=2) if i + j < steps]
    best = min(excess_of_weights(fitted, weights, width).max() for weights in grid)
    assert rungs["best_weights"].worst_excess <= best + 5e-4

    # single models: directions of the plane of what width 1 keeps, or of what width 2 leaves out
    factor = np.linalg.cholesky(fitted.T @ fitted).T
    around = np.random.default_rng(seed).normal(size=(40_000, 3))
    inside = ((around / np.linalg.norm(around, axis=1, keepdims=True)) @ factor) ** 2
    excess = (factor**2).sum(0) - inside if width == 1 else inside
    single = excess.max(axis=1).min()
    assert rungs["tchebycheff"].lower <= single
    assert rungs["tchebycheff"].worst_excess <= single + 1e-9
    assert rungs["tchebycheff"].worst_excess >= single - 0.02

    # mixtures: the matrices between 0 and I of trace q
    P, t = cp.Variable((3, 3), symmetric=True), cp.Variable()
    left = [cp.sum_squares(factor[:, i]) - factor[:, i] @ P @ factor[:, i] for i in range(3)]
    programme = cp.Problem(cp.Minimize(t), [P >> 0, np.eye(3) - P >> 0, cp.trace(P) == width, *[e <= t for e in left]])
    programme.solve(solver=cp.CLARABEL)
    assert rungs["mixture"].worst_excess == pytest.approx(programme.value, abs=1e-6)

    if remedy is not None:
        assert rungs["equal_weights"].worst_excess - ladder[remedy].worst_excess > 0.01
