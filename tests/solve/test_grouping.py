"""Groups of numbers: all partitions tried."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve.grouping import group_means


def error_of(values, labels):
    return sum(((values[labels == g] - values[labels == g].mean()) ** 2).sum() for g in set(labels.tolist()))


@given(k=st.integers(1, 6), groups=st.integers(1, 4), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_no_partition_is_better(k, groups, seed):
    values = np.random.default_rng(seed).lognormal(sigma=1.5, size=k)
    found = group_means(values, groups)
    best = min(error_of(values, np.array(labels)) for labels in product(range(groups), repeat=k))
    assert ((values - found) ** 2).sum() == pytest.approx(best, rel=1e-10, abs=1e-14)
    assert len(set(found.tolist())) <= groups
    assert found.sum() == pytest.approx(values.sum(), rel=1e-13)


def test_one_group_is_the_mean_and_enough_groups_change_nothing():
    values = np.array([3.0, 1.0, 8.0])
    np.testing.assert_allclose(group_means(values, 1), 4.0)
    np.testing.assert_array_equal(group_means(values, 3), values)
    np.testing.assert_array_equal(group_means(values, 9), values)


def test_equal_numbers_stay_equal():
    np.testing.assert_allclose(group_means(np.array([2.0, 5.0, 2.0, 5.0]), 2), [2.0, 5.0, 2.0, 5.0])
    np.testing.assert_allclose(group_means(np.full(4, 7.0), 2), 7.0)
