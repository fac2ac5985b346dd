"""Holm's procedure against the closed test that it is a shortcut of."""

import itertools

import numpy as np
import pytest

from equipoise.core.multiple_tests import holm


@pytest.mark.parametrize("k", [1, 2, 6])
def test_holm_is_the_closed_test_made_of_bonferroni_tests(k):
    """Marcus, Peritz and Gabriel (1976): the adjusted p-value is the largest of all joint hypotheses that hold it."""
    p_values = np.random.default_rng(k).uniform(size=k) ** 3
    joint = {
        group: min(1.0, len(group) * min(p_values[list(group)]))
        for size in range(1, k + 1)
        for group in itertools.combinations(range(k), size)
    }
    closed = [max(p for group, p in joint.items() if place in group) for place in range(k)]
    assert holm(p_values.tolist()) == pytest.approx(closed)
