"""IMTL-G and ConFIG: the same equations, another length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.laws import check_method
from equipoise.solve import Status

from .matrices import gradients, take

LENGTHS = ("mean", "smallest", "largest", "unit")
OUTWEIGHED = [[10.0, 0.0, 0.0], [0.0, 10.0, 0.0], [0.7, 0.7, 0.1]]


@pytest.mark.parametrize("method", [eq.IMTLG(), *(eq.ConFIG(length) for length in LENGTHS)], ids=repr)
def test_the_laws_hold(method):
    assert check_method(method, sizes=(1, 2, 3, 5)).checks > 0


@given(k=st.integers(1, 8), seed=st.integers(0, 10_000), decades=st.floats(-4, 4))
@settings(max_examples=40, deadline=None)
def test_the_projections_on_all_unit_gradients_are_equal_however_unequal_the_norms(k, seed, decades):
    rows = gradients(k, seed) * np.logspace(0, decades, k)[:, None]
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for method in (eq.IMTLG(), eq.ConFIG()):
        projections = units @ take(method, rows).direction.numpy()
        np.testing.assert_allclose(projections, projections[0], rtol=1e-8)


def test_imtlg_weights_sum_to_one_and_a_negative_projection_is_said():
    found = take(eq.IMTLG(), OUTWEIGHED)
    assert found.status is Status.NEGATIVE_PROJECTION
    assert float(found.weights.sum()) == pytest.approx(1, abs=1e-12)
    assert (np.array(OUTWEIGHED) @ found.direction.numpy() < 0).all()


def test_a_negative_projection_is_said_of_dependent_gradients_too():
    rows = np.array([*OUTWEIGHED, OUTWEIGHED[2]])
    found = take(eq.IMTLG(), rows)
    assert (rows @ found.direction.numpy() < 0).all()
    assert found.status is Status.NEGATIVE_PROJECTION


def test_weights_that_sum_to_zero_have_no_normalisation():
    # b / |g| = (1, 1, -c) with the third norm tuned so that the sum vanishes
    third = np.array([0.7, 0.7, 0.1])
    units = np.vstack([np.eye(3)[:2], third / np.linalg.norm(third)])
    coefficients = np.linalg.solve(units @ units.T, np.ones(3))
    norms = np.array([1.0, 1.0, -coefficients[2] / (coefficients[0] + coefficients[1])])
    found = take(eq.IMTLG(), units * norms[:, None])
    if found.status is Status.NO_SOLUTION:
        assert not found.direction.any()
    else:  # rounding left a sum: then it is at least large enough to divide by
        assert np.isfinite(found.weights.numpy()).all()


def test_opposite_gradients_cancel():
    for method in (eq.IMTLG(), eq.ConFIG()):
        found = take(method, [[1.0, 0.0], [-2.0, 0.0]])
        assert found.status is Status.STATIONARY
        np.testing.assert_allclose(found.direction, 0.0, atol=1e-15)


def test_dependent_gradients_are_reported_with_how_unequal_the_projections_are():
    found = take(eq.ConFIG(), [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert found.status is Status.RANK_DEFICIENT
    assert found.certificate > 0.1


def test_nearly_dependent_gradients_give_a_direction_with_equal_projections_or_say_why_not():
    draw, solved = np.random.default_rng(5), 0
    for _ in range(300):
        k = int(draw.integers(2, 5))
        rows, distance = draw.normal(size=(k, 6)), 10.0 ** draw.uniform(-7, 0)
        rows[-1] = draw.normal(size=k - 1) @ rows[:-1] + distance * rows[-1]
        found = take(eq.ConFIG(), rows)
        if found.status is not Status.SOLVED:
            assert found.status is not Status.NO_SOLUTION or not found.direction.any()
            continue
        solved += 1
        direction = found.direction.numpy()
        assert direction.any()
        projections = rows @ direction / np.linalg.norm(rows, axis=1) / np.linalg.norm(direction)
        np.testing.assert_allclose(projections, projections.mean(), atol=1e-6)
    assert solved > 200


def test_config_has_the_direction_of_the_pseudo_inverse_and_the_length_it_is_asked_for():
    rows = gradients(4, 5)
    norms = np.linalg.norm(rows, axis=1)
    unit = np.linalg.pinv(rows / norms[:, None]) @ np.ones(4)
    unit /= np.linalg.norm(unit)
    sizes = {"mean": (rows @ unit).mean(), "smallest": norms.min(), "largest": norms.max(), "unit": 1.0}
    for length, size in sizes.items():
        np.testing.assert_allclose(take(eq.ConFIG(length), rows).direction, size * unit, rtol=1e-9)


def test_a_finished_task_counts_in_the_mean_of_the_projections():
    rows = np.vstack([gradients(2, 1), np.zeros(12)])
    wanted = take(eq.ConFIG(), rows[:2]).direction * 2 / 3
    np.testing.assert_allclose(take(eq.ConFIG(), rows).direction, wanted, rtol=1e-12)


def test_a_length_that_is_no_length_is_refused():
    with pytest.raises(SettingError, match="`length` must be one of 'mean'"):
        eq.ConFIG("sum")
