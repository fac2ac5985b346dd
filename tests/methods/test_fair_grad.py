"""FairGrad: the equation, and the methods it passes through."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.laws import check_method
from equipoise.solve import Status

from .matrices import gradients, take


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 10.0])
def test_the_laws_hold_for_every_alpha(alpha):
    assert check_method(eq.FairGrad(alpha), sizes=(1, 2, 3, 5)).checks > 0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_the_projections_are_the_powers_of_the_weights(alpha):
    rows = gradients(5, 0)
    found = take(eq.FairGrad(alpha), rows)
    np.testing.assert_allclose(rows @ found.direction.numpy(), found.weights.numpy() ** (-1 / alpha), rtol=1e-9)


def test_alpha_one_is_nash_without_the_clip():
    rows = gradients(4, 1)
    np.testing.assert_allclose(
        take(eq.FairGrad(1.0), rows).direction, take(eq.NashMTL(max_norm=None), rows).direction, rtol=1e-12
    )


def test_the_direction_maximises_the_alpha_fair_utility_on_its_sphere():
    rows, alpha = gradients(4, 2), 2.0
    found = take(eq.FairGrad(alpha), rows).direction.numpy()
    best = ((rows @ found) ** (1 - alpha) / (1 - alpha)).sum()
    draw = np.random.default_rng(0)
    tried = 0
    for _ in range(300):
        other = found + 0.1 * np.linalg.norm(found) * draw.normal(size=found.shape) / np.sqrt(len(found))
        other *= np.linalg.norm(found) / np.linalg.norm(other)
        if (rows @ other > 0).all():
            tried += 1
            assert ((rows @ other) ** (1 - alpha) / (1 - alpha)).sum() <= best + 1e-12
    assert tried > 50


def test_one_task_has_the_length_that_the_docstring_states():
    rows = np.array([[3.0, 4.0]])
    for alpha in (0.5, 2.0):
        wanted = rows[0] * 5.0 ** (-2 * alpha / (1 + alpha))
        np.testing.assert_allclose(take(eq.FairGrad(alpha), rows).direction, wanted, rtol=1e-13)


def test_without_a_solution_the_direction_is_zero():
    found = take(eq.FairGrad(2.0), [[1.0, 0.0], [-1.0, 0.0]])
    assert found.status is Status.NO_SOLUTION
    assert not torch.any(found.direction)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_alpha_outside_its_range_is_refused(alpha):
    with pytest.raises(SettingError, match="`alpha` must be positive"):
        eq.FairGrad(alpha)


@pytest.mark.parametrize("alpha", [1e-3, 0.01, 0.1, 10.0, 100.0, 1e4])
@given(k=st.integers(2, 5), seed=st.integers(0, 10_000), decades=st.floats(-6, 6))
@settings(max_examples=15, deadline=None)
def test_the_equation_holds_for_extreme_fairness_and_norms_far_apart(alpha, k, seed, decades):
    rows = gradients(k, seed) * np.logspace(0, decades, k)[:, None]
    found = take(eq.FairGrad(alpha), rows)
    assert found.status is Status.SOLVED
    weights, direction = found.weights.numpy(), found.direction.numpy()
    assert np.isfinite(direction).all()
    assert found.certificate < 1e-8
    falls = rows @ direction
    shown = weights > 1e-290  # the others underflow
    wanted = np.exp(-np.log(np.maximum(weights, 1e-290)) / alpha)
    sizes = np.linalg.norm(rows, axis=1) * np.linalg.norm(direction)
    assert shown.any()
    assert (np.abs(falls - wanted) <= 1e-7 * sizes)[shown].all()
    assert (falls > -1e-7 * sizes).all()
