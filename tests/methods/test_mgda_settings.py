"""MGDA's normalizations and routes, and its form on feature gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import EquipoiseWarning, LossError, SettingError
from equipoise.methods.base import Step
from equipoise.solve import Status

from .matrices import gradients, take


def closed_form(first, second):
    """Weight of the first of two gradients, by the textbook."""
    difference = second - first
    return float(np.clip(difference @ second / (difference @ difference), 0, 1))


@pytest.mark.parametrize("normalize", ["none", "l2", "loss", "loss+"])
@given(seed=st.integers(0, 10_000), decades=st.floats(-4, 4))
@settings(max_examples=25, deadline=None)
def test_two_tasks_get_the_closed_form_of_the_normalized_gradients(normalize, seed, decades):
    rows = gradients(2, seed) * np.array([[1.0], [10.0**decades]])
    losses = np.random.default_rng(seed).uniform(0.1, 5, size=2)
    norms = np.linalg.norm(rows, axis=1)
    divisor = {"none": [1.0, 1.0], "l2": norms, "loss": losses, "loss+": losses * norms}[normalize]
    share = closed_form(*(rows / np.array(divisor)[:, None]))
    found = take(eq.MGDA(normalize=normalize), rows, losses)
    np.testing.assert_allclose(found.weights, [share, 1 - share], atol=1e-12)
    np.testing.assert_allclose(found.direction, share * rows[0] + (1 - share) * rows[1])  # the original gradients


def test_normalized_weights_do_not_see_what_they_were_divided_by():
    rows, losses = gradients(4, 1), np.array([1.0, 2.0, 3.0, 4.0])
    factors = np.array([1.0, 1e-3, 7.0, 1e4])
    for normalize in ("l2", "loss+"):
        method = eq.MGDA(normalize=normalize)
        before = take(method, rows, losses).weights
        np.testing.assert_allclose(take(method, factors[:, None] * rows, losses).weights, before, atol=1e-10)
    method = eq.MGDA(normalize="loss")
    before = take(method, rows, losses).weights
    np.testing.assert_allclose(take(method, factors[:, None] * rows, factors * losses).weights, before, atol=1e-10)


@pytest.mark.parametrize("normalize", ["loss", "loss+"])
def test_a_loss_that_cannot_be_divided_by_is_refused_by_name(normalize):
    with pytest.raises(LossError, match=r"b = 0, c = -1.*normalize='l2' or 'none'"):
        take(eq.MGDA(normalize=normalize), gradients(3, 0), [1.0, 0.0, -1.0])
    with pytest.raises(LossError, match="give `losses`"):
        eq.MGDA(normalize=normalize).weights(torch.eye(2, dtype=torch.float64), {}, Step(Tasks(("a", "b"))))


@pytest.mark.parametrize("solver", ["frank-wolfe", "averaging", "smooth", "softmax"])
def test_the_certificate_of_a_route_bounds_how_much_shorter_the_exact_direction_is(solver):
    for seed in range(5):
        rows = gradients(5, seed)
        exact, found = take(eq.MGDA(), rows), take(eq.MGDA(solver=solver), rows)
        length, best = (float(torch.linalg.vector_norm(one.direction)) for one in (found, exact))
        assert best**2 >= (1 - found.certificate) * length**2 - 1e-12
        assert length >= best * (1 - 1e-12)
        if found.status is Status.SOLVED:
            torch.testing.assert_close(found.direction, exact.direction, rtol=0, atol=2e-5 * length)


def test_settings_outside_their_range_are_refused_all_at_once():
    with pytest.raises(SettingError, match=r"`zero`.*`normalize`.*`solver`"):
        eq.MGDA(zero="never", normalize="l3", solver="guess")
    with pytest.raises(SettingError, match="`solver` must be one of 'exact'"):
        eq.MGDAUB(solver="guess")


@pytest.mark.parametrize("normalize", ["none", "l2"])
def test_an_exactly_zero_gradient_is_left_out_or_is_the_answer(normalize):
    rows = np.vstack([gradients(2, 3), np.zeros((1, 12))])
    left_out = take(eq.MGDA(normalize=normalize), rows)
    torch.testing.assert_close(left_out.direction, take(eq.MGDA(normalize=normalize), rows[:2]).direction)
    kept = take(eq.MGDA(normalize=normalize, zero="exact"), rows)
    assert kept.weights.tolist() == [0, 0, 1]
    assert kept.status is Status.STATIONARY


def test_the_upper_bound_is_mgda_on_another_gramian_and_may_raise_a_loss():
    features = np.array([[0.0, 1.0], [-1.0, -1.0]])
    trunk = np.diag([1.0, 2.0])  # M M^T = diag(1, 4)
    weights = eq.weights(eq.MGDAUB(), features @ features.T).numpy()
    np.testing.assert_allclose(weights, [0.6, 0.4])
    np.testing.assert_allclose(features @ (weights @ features), [0.2, 0.2])  # both features' losses would fall
    jacobian = features @ trunk
    np.testing.assert_allclose(jacobian @ (weights @ jacobian), [0.8, -0.4])  # the second loss rises
    assert eq.MGDAUB().needs == "features"
    assert "no_conflict" not in eq.MGDAUB().claims(2)


@pytest.mark.parametrize("method", [eq.MGDAUB(), eq.AlignedMTLUB()])
def test_tasks_without_a_common_sample_are_warned_of(method):
    features = np.zeros((2, 8))
    features[0, :4], features[1, 4:] = 1.0, 2.0  # per sample: each task has samples of its own
    with pytest.warns(EquipoiseWarning, match="no sample in common"):
        eq.weights(method, features @ features.T)
