"""The projection that keeps progress along other vectors: a general solver, its conditions, and where there is none."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from equipoise.solve import Status
from equipoise.solve.shares_of_progress import nearest_with_progress


def units(k, seed, columns=8):
    rows = np.random.default_rng(seed).normal(size=(k, columns))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_slsqp(rows, row, length, least):
    others = [i for i in range(len(rows)) if i != row]
    aim = length * rows[row]
    found = minimize(
        lambda d: ((d - aim) ** 2).sum(),
        aim,
        jac=lambda d: 2 * (d - aim),
        constraints={"type": "ineq", "fun": lambda d: rows[others] @ d - least[others], "jac": lambda d: rows[others]},
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return found.x


@given(k=st.integers(2, 5), seed=st.integers(0, 10_000), row=st.integers(0, 4), known=st.booleans())
@settings(max_examples=40, deadline=None)
def test_it_is_the_nearest_vector(k, seed, row, known):
    rows, row = units(k, seed), row % k
    least = np.random.default_rng(seed + 1).uniform(0, 1, size=k)
    factor = np.linalg.qr(rows.T, mode="r") if known else None
    found = nearest_with_progress(rows @ rows.T, row, 1.3, least, factor)
    assert found.status is Status.SOLVED
    assert found.certificate < 1e-11
    assert found.value[row] == 0
    np.testing.assert_allclose(1.3 * rows[row] + found.value @ rows, by_slsqp(rows, row, 1.3, least), atol=2e-6)


def by_enumeration(rows, row, length, least):
    """The nearest of all vectors that meet some of the limits exactly and the others at least."""
    others, best = [i for i in range(len(rows)) if i != row], (np.inf, None)
    aim = length * rows[row]
    for chosen in (c for m in range(len(others) + 1) for c in combinations(others, m)):
        tight = rows[list(chosen)]
        vector = aim + tight.T @ np.linalg.solve(tight @ tight.T, least[list(chosen)] - tight @ aim)
        if (rows[others] @ vector >= least[others] - 1e-12).all():
            best = min(best, (float(((vector - aim) ** 2).sum()), vector), key=lambda pair: pair[0])
    return best[1]


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_best_of_all_sets_of_tight_limits(seed):
    rows = units(5, seed)
    least = np.random.default_rng(seed).uniform(0, 1, size=5)
    found = nearest_with_progress(rows @ rows.T, 2, 0.7, least, np.linalg.qr(rows.T, mode="r"))
    wanted = by_enumeration(rows, 2, 0.7, least)
    np.testing.assert_allclose(0.7 * rows[2] + found.value @ rows, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
def test_nearly_opposite_vectors_are_served_by_what_is_left_of_them(size):
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, size], [0.0, -1.0, size]])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = nearest_with_progress(rows @ rows.T, 0, 1.0, np.full(3, 0.5), np.linalg.qr(rows.T, mode="r"))
    vector = rows[0] + found.value @ rows
    # by symmetry (1, 0, z) with z size / sqrt(1 + size^2) = 1/2
    np.testing.assert_allclose(vector, [1.0, 0.0, 0.5 * np.hypot(1, size) / size], rtol=1e-8, atol=1e-8 / size)


def test_opposite_vectors_cannot_both_be_served():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = nearest_with_progress(rows @ rows.T, 0, 1.0, np.full(3, 0.1))
    assert found.status is Status.NO_SOLUTION
    assert not found.value.any()
    nothing_asked = nearest_with_progress(rows @ rows.T, 0, 1.0, np.zeros(3))
    assert nothing_asked.status is Status.SOLVED
