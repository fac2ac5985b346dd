"""CAGrad: its special cases, rescales and refusals."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.laws import check_method
from equipoise.solve import Status

from .matrices import gradients, take


@pytest.mark.parametrize(
    "method",
    [
        eq.CAGrad(),
        eq.CAGrad(c=0.0),
        eq.CAGrad(c=0.99, rescale=None),
        eq.CAGrad(c=1.0, rescale="1+c"),
        eq.CAGrad(c=3.0),
    ],
    ids=repr,
)
def test_the_laws_hold_for_every_kind_of_setting(method):
    assert check_method(method, sizes=(1, 2, 3, 5)).checks > 0


def test_the_two_gradients_of_the_docstring_by_hand():
    # the ball around (1/2, 1/2) of radius |g0|/2; by symmetry the best worst descent is along the diagonal
    found = take(eq.CAGrad(c=0.5, rescale=None), np.eye(2)).direction
    np.testing.assert_allclose(found, [0.75, 0.75], rtol=1e-14)


def test_c_zero_is_the_mean_and_the_rescales_divide_by_what_they_say():
    rows = gradients(4, 0)
    np.testing.assert_allclose(take(eq.CAGrad(c=0.0, rescale=None), rows).direction, rows.mean(axis=0))
    plain = take(eq.CAGrad(c=0.5, rescale=None), rows).direction
    np.testing.assert_allclose(take(eq.CAGrad(c=0.5, rescale="1+c^2"), rows).direction, plain / 1.25)
    np.testing.assert_allclose(take(eq.CAGrad(c=0.5, rescale="1+c"), rows).direction, plain / 1.5)


@given(k=st.integers(2, 8), seed=st.integers(0, 10_000), scale=st.sampled_from([1e-8, 1e-4, 1.0, 1e8]))
@settings(max_examples=40, deadline=None)
def test_the_direction_stays_in_its_ball_at_every_scale_of_the_gradients(k, seed, scale):
    rows = scale * gradients(k, seed)
    mean = rows.mean(axis=0)
    found = take(eq.CAGrad(c=0.4, rescale=None), rows)
    distance = np.linalg.norm(found.direction.numpy() - mean)
    assert distance == pytest.approx(0.4 * np.linalg.norm(mean), rel=1e-9)
    assert (rows @ found.direction.numpy()).min() >= (rows @ mean).min() - 1e-12 * scale**2


def test_a_large_c_turns_to_the_min_norm_direction():
    rows = gradients(5, 3)
    found, wanted = take(eq.CAGrad(c=1e4), rows).direction, take(eq.MGDA(), rows).direction
    assert torch.nn.functional.cosine_similarity(found, wanted, dim=0) > 1 - 1e-6


def test_a_finished_task_counts_in_the_mean_and_freezes_nothing():
    rows = np.vstack([gradients(2, 1), np.zeros(12)])
    found = take(eq.CAGrad(c=0.4, rescale=None), rows)
    wanted = take(eq.CAGrad(c=0.4, rescale=None), rows[:2]).direction * 2 / 3
    np.testing.assert_allclose(found.direction, wanted, rtol=1e-12)
    assert found.status is Status.SOLVED


def test_a_stationary_point_is_reported():
    assert take(eq.CAGrad(), [[1.0, 0.0], [-2.0, 0.0]]).status is Status.STATIONARY


@pytest.mark.parametrize("settings_", [{"c": -0.1}, {"c": float("nan")}, {"c": float("inf")}, {"rescale": "c"}])
def test_settings_outside_their_range_are_refused(settings_):
    with pytest.raises(SettingError, match="must be"):
        eq.CAGrad(**settings_)


def test_the_steps_of_the_authors_code_are_k_times_as_long():
    """The table of the page: their dual by a general solver, divided by 1 + c^2, for the sum of the losses."""
    jacobian, c, k = np.array([[1.0, 0.2, -0.5], [-0.3, 1.0, 0.4], [-0.6, -0.6, 0.8]]), 0.5, 3
    mean = jacobian.mean(axis=0)
    found = minimize(
        lambda a: a @ jacobian @ mean + c * np.linalg.norm(mean) * np.linalg.norm(a @ jacobian),
        np.full(k, 1 / k),
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
        tol=1e-12,
    )
    worst = found.x @ jacobian
    theirs = k * (mean + c * np.linalg.norm(mean) * worst / np.linalg.norm(worst)) / (1 + c**2)
    assert np.allclose(k * eq.direction(eq.CAGrad(c=c), jacobian).numpy(), theirs, rtol=1e-5)
    assert not np.allclose(found.x, 1 / k, atol=0.1)


def test_the_table_of_the_page_has_our_defaults():
    rows = {row.split()[0]: row for row in re.findall(r"^ *(\S.*  .*)$", eq.CAGrad.__doc__, re.MULTILINE)}
    assert f"  {eq.CAGrad().c} unless given; any c >= 0" in rows["c"]
    default = {"1+c^2": "1 + c^2", "1+c": "1 + c"}[eq.CAGrad().rescale]
    assert f"  {default}, 1 + c or nothing, by ``rescale``" in rows["divided"]
