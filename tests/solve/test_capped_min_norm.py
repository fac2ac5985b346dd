"""The capped min-norm point: every active set tried, the certificate, and the ends of its range."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve import Status
from equipoise.solve.capped_min_norm import capped_min_norm_point
from equipoise.solve.min_norm import min_norm_point


def by_enumeration(gramian, cap):
    """The best feasible point of all choices of weights at 0, at the cap, and free."""
    k, best = len(gramian), (np.inf, np.zeros(0))
    for places in product(("low", "free", "high"), repeat=k):
        high, free = ([i for i in range(k) if places[i] == name] for name in ("high", "free"))
        weights = np.zeros(k)
        weights[high] = cap
        rest, m = 1 - cap * len(high), len(free)
        if m:
            system = np.zeros((m + 1, m + 1))
            system[:m, :m], system[:m, m], system[m, :m] = gramian[np.ix_(free, free)], 1, 1
            right = np.append(-gramian[np.ix_(free, high)] @ np.full(len(high), cap), rest)
            weights[free] = np.linalg.solve(system, right)[:m]
        elif abs(rest) > 1e-12:
            continue
        if (weights >= -1e-12).all() and (weights <= cap + 1e-12).all():
            best = min(best, (float(weights @ gramian @ weights), tuple(weights)))
    return np.array(best[1])


@given(k=st.integers(2, 5), seed=st.integers(0, 10_000), share=st.floats(0.01, 0.99), known=st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_the_best_of_all_active_sets(k, seed, share, known):
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(k, 9)) * 10 ** draw.uniform(-2, 2, size=(k, 1))
    cap = 1 / k + share * (1 - 1 / k)
    factor = np.linalg.qr(rows.T, mode="r") if known else None
    found = capped_min_norm_point(rows @ rows.T, cap, factor=factor)
    wanted = by_enumeration(rows @ rows.T, cap)
    assert np.linalg.norm((found.value - wanted) @ rows) <= 1e-10 * np.linalg.norm(wanted @ rows)
    assert found.value.sum() == pytest.approx(1, abs=1e-14)
    assert found.value.max() <= cap + 1e-14
    assert found.value.min() >= 0
    assert found.certificate < 1e-10


def test_a_cap_that_does_not_bind_gives_the_uncapped_point():
    rows = np.random.default_rng(0).normal(size=(6, 20))
    free = min_norm_point(rows @ rows.T)
    np.testing.assert_array_equal(capped_min_norm_point(rows @ rows.T, 1.0).value, free.value)
    np.testing.assert_array_equal(capped_min_norm_point(rows @ rows.T, float(free.value.max())).value, free.value)


def test_the_smallest_cap_gives_the_mean():
    rows = np.random.default_rng(1).normal(size=(5, 20)) * np.logspace(-3, 3, 5)[:, None]
    for cap in (0.2, 0.01):
        np.testing.assert_allclose(capped_min_norm_point(rows @ rows.T, cap).value, 0.2, rtol=1e-14)


def test_norms_over_six_decades_at_fifty_tasks_end_with_a_certificate():
    rows = np.random.default_rng(2).normal(size=(50, 120)) * np.logspace(-3, 3, 50)[:, None]
    found = capped_min_norm_point(rows @ rows.T, 0.3, factor=np.linalg.qr(rows.T, mode="r"))
    assert found.status is Status.SOLVED
    assert found.certificate < 1e-8


def test_a_stationary_point_is_named_though_the_mixture_is_not_zero():
    found = capped_min_norm_point(np.array([[1.0, -3.0], [-3.0, 9.0]]), 0.6)
    assert found.status is Status.STATIONARY
    np.testing.assert_allclose(found.value, [0.6, 0.4], rtol=1e-14)
