"""The projection on the simplex, against its optimality conditions, whatever the size of the point."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.solve.simplex import project_to_simplex


@given(k=st.integers(1, 30), seed=st.integers(0, 10_000), decades=st.integers(-20, 20), total=st.floats(1e-3, 1e3))
@settings(max_examples=100, deadline=None)
def test_the_closest_point_is_a_common_shift_cut_at_zero(k, seed, decades, total):
    point = np.random.default_rng(seed).normal(size=k) * 10.0**decades
    found = project_to_simplex(point, total)
    size = max(np.abs(point).max(), total)
    assert found.min() >= 0
    assert abs(found.sum() - total) <= 1e-12 * max(total, np.ptp(point)) + 1e-12 * total
    kept = found > 0
    shift = (point - found)[kept]
    assert np.ptp(shift) <= 1e-12 * size
    assert (point[~kept] <= shift.max() + 1e-12 * size).all()


def test_a_point_far_larger_than_the_simplex_goes_to_its_largest_corner():
    # with a threshold of 1e16 - 1 the total would vanish in rounding
    assert project_to_simplex(np.array([1e16, 3.0, -1e16])).tolist() == [1.0, 0.0, 0.0]
    assert project_to_simplex(np.array([-1e16, -1e16])).tolist() == [0.5, 0.5]
