"""AlignedMTL as a method: from the Jacobian, with weights by name, with tasks that have finished."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.solve import Status

from .matrices import gradients, take


@given(k=st.integers(1, 7), seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_direction_has_equal_projections_on_the_singular_directions(k, seed):
    rows = gradients(k, seed)
    found = take(eq.AlignedMTL(), rows).direction.numpy()
    left, singular, right = np.linalg.svd(rows, full_matrices=False)
    np.testing.assert_allclose(right @ found, singular[-1] * left.T @ np.full(k, 1 / k), atol=1e-10 * singular[0])


def test_two_orthogonal_gradients_become_as_long_as_the_reference():
    rows = [[1.0, 0.0], [0.0, 3.0]]
    for scale, length in (("min", 1.0), ("median", 1.0), ("rmse", np.sqrt(5.0))):
        np.testing.assert_allclose(take(eq.AlignedMTL(scale=scale), rows).direction, [length / 2, length / 2])


def test_gradients_that_are_orthogonal_and_equally_long_already_give_the_mean():
    basis = np.linalg.qr(gradients(5, 0, columns=5))[0] * 3.0
    np.testing.assert_allclose(take(eq.AlignedMTL(), basis).direction, basis.mean(axis=0), atol=1e-12)


def test_weights_by_name_are_normalised_and_follow_their_tasks():
    rows = gradients(3, 4)
    by_name = take(eq.AlignedMTL({"a": 2.0, "b": 4.0, "c": 2.0}), rows).direction
    np.testing.assert_allclose(by_name, take(eq.AlignedMTL((0.25, 0.5, 0.25)), rows).direction, atol=1e-12)
    np.testing.assert_allclose(
        take(eq.AlignedMTL((1.0, 1.0, 1.0)), rows).direction, take(eq.AlignedMTL(), rows).direction, atol=1e-12
    )


def test_a_finished_task_is_left_out_and_the_mean_still_counts_it():
    rows = np.vstack([gradients(2, 5), np.zeros(12)])
    found = take(eq.AlignedMTL(), rows).direction
    np.testing.assert_allclose(found, take(eq.AlignedMTL(), rows[:2]).direction * 2 / 3, atol=1e-12)


def test_dependent_gradients_say_so():
    rows = gradients(2, 6)
    assert take(eq.AlignedMTL(), np.vstack([rows, rows.sum(axis=0)])).status is Status.RANK_DEFICIENT


def test_the_feature_form_is_the_same_formula():
    rows = gradients(4, 7)
    gramian = rows @ rows.T
    np.testing.assert_allclose(eq.weights(eq.AlignedMTLUB(), gramian), eq.weights(eq.AlignedMTL(), gramian))
    assert eq.AlignedMTLUB().needs == "features"


def test_settings_outside_their_range_are_refused():
    with pytest.raises(SettingError, match="`scale` must be one of 'min'"):
        eq.AlignedMTL(scale="max")
    with pytest.raises(SettingError, match="`rank_tolerance`"):
        eq.AlignedMTLUB(rank_tolerance=1.0)
    with pytest.raises(SettingError, match="non-negative"):
        eq.AlignedMTL(task_weights=(1.0, -1.0))
