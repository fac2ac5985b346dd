"""GO4Align: the formula once more, and what its groups must do."""

import math

import numpy as np
import pytest
from sklearn.cluster import KMeans

import equipoise as eq
from equipoise.errors import LossError, SettingError

from .histories import play, random_history, weigh


def slow(history, groups, eta):
    """The authors' steps; k-means by Lloyd's iterations from many starts."""
    k = len(history[0])
    shares, found = [1 / k] * k, []
    for losses in history:
        grown = [share * math.exp(-eta * loss) for share, loss in zip(shares, losses, strict=True)]
        shares = [value / sum(grown) for value in grown]
        wanted = np.array([sum(losses) / loss * share for loss, share in zip(losses, shares, strict=True)])
        fitted = KMeans(groups, n_init=30, random_state=0).fit(wanted[:, None])
        found.append(fitted.cluster_centers_[fitted.labels_, 0] / k)
    return found


@pytest.mark.parametrize(("groups", "eta"), [(1, 1e-2), (2, 1e-4), (3, 0.1)])
def test_it_is_the_formula(groups, eta):
    history = random_history(5, 5)
    for found, wanted in zip(play(eq.GO4Align(groups, eta), history), slow(history, groups, eta), strict=True):
        np.testing.assert_allclose(found.weights, wanted, rtol=1e-10)


def test_with_a_group_each_the_weighted_losses_are_as_the_indicators():
    method, losses = eq.GO4Align(groups=3, step_size=0.3), [1.0, 2.0, 5.0]
    found = weigh(method, losses)
    indicators = np.exp(found.state["log_indicators"].numpy())
    shares = found.weights.numpy() * losses
    np.testing.assert_allclose(shares / shares.sum(), indicators, rtol=1e-13)


def test_tasks_of_one_group_have_one_weight():
    found = weigh(eq.GO4Align(groups=2), [1.0, 1.1, 40.0, 41.0]).weights.numpy()
    assert found[0] == found[1] > found[2] == found[3]


def test_an_absent_task_keeps_its_indicator_and_the_others_share_the_rest():
    method = eq.GO4Align(step_size=0.5)
    steps = play(method, [[1.0, 2.0, 3.0], [1.0, 9.0, 2.0]], presents=[(0, 1, 2), (0, 2)])
    before, after = (np.exp(step.state["log_indicators"].numpy()) for step in steps)
    assert after[1] == before[1]
    assert after.sum() == pytest.approx(1, abs=1e-14)


def test_losses_far_apart_give_finite_weights():
    found = weigh(eq.GO4Align(groups=2, step_size=1.0), [1e-9, 1.0, 1e6])
    assert np.isfinite(found.weights.numpy()).all()


def test_a_loss_of_zero_is_refused_by_name():
    with pytest.raises(LossError, match="GO4Align divides by the losses, so every loss must be positive; those of 'b'"):
        weigh(eq.GO4Align(), [1.0, 0.0])


@pytest.mark.parametrize("settings", [{"groups": 0}, {"groups": 1.5}, {"step_size": 0.0}, {"step_size": float("inf")}])
def test_settings_outside_their_range_are_refused(settings):
    with pytest.raises(SettingError, match=f"`{next(iter(settings))}` must be"):
        eq.GO4Align(**settings)
