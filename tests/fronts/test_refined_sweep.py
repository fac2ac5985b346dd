"""Sweeps on fronts that are known in closed form."""

import numpy as np
import pytest

import equipoise as eq
from equipoise.errors import DataError, SettingError, TaskError
from equipoise.fronts.indicators import best_value, hypervolume
from equipoise.problems import named


def on_front(name, calls):
    """Exact training: the best point of a dense sample of the front."""
    front = named(name).front(20001)

    def train(preference):
        calls.append(preference)
        if isinstance(preference, eq.LinearScalarization):
            return front[(front @ np.array(preference.weights)).argmin()]
        heights = (front - np.array(preference.ideal)) * np.array(preference.weights)
        return front[heights.max(axis=1).argmin()]

    return train


@pytest.mark.parametrize("criterion", ["linear", "tchebycheff"])
def test_a_convex_front_is_filled_evenly(criterion):
    found = eq.front.sweep(on_front("quad", []), ["f1", "f2"], runs=12, criterion=criterion, gap=0.02)
    assert len(found.losses) == 12
    assert found.holes == ()
    best = best_value(named("quad").front(1501), [1.1, 1.1], 12)
    assert hypervolume(found.losses, [1.1, 1.1]) > 0.98 * best


def test_weighted_sums_see_the_hole_of_a_concave_front_and_stop():
    found = eq.front.sweep(on_front("zdt2", []), ["f1", "f2"], runs=12, criterion="linear")
    assert len(found.losses) <= 4
    assert found.holes[0] == (0, 1)
    assert "no gap that a run could split" in found.words
    mixed = found.mixture(eq.Tchebycheff(ideal=None))
    assert mixed.value == pytest.approx(0.5, abs=0.01)  # the chord, where no single run is


def test_tchebycheff_fills_the_concave_front():
    calls = []
    found = eq.front.sweep(on_front("zdt2", calls), ["f1", "f2"], runs=30, gap=0.15)
    assert found.largest_gap <= 0.15
    assert len(found.losses) == len(calls) < 30
    assert found.reasons[:3] == ("the corner of 'f1'", "the corner of 'f2'", "between runs 0 and 1")


def test_the_pieces_of_a_front_are_holes():
    found = eq.front.sweep(on_front("zdt3", []), ["f1", "f2"], runs=40, gap=0.1)
    assert found.holes
    first = found.losses[found.front, 0]
    assert all(((first >= low) & (first <= high)).any() for low, high in [(0, 0.09), (0.4, 0.46), (0.82, 0.86)])


def test_three_tasks():
    front = named("dtlz2").front(4000)

    def train(preference):
        if isinstance(preference, eq.LinearScalarization):
            return front[(front @ np.array(preference.weights)).argmin()]
        return front[((front - np.array(preference.ideal)) * np.array(preference.weights)).max(axis=1).argmin()]

    found = eq.front.sweep(train, ["a", "b", "c"], runs=21)
    assert hypervolume(found.losses, [1.1] * 3) > 0.9 * 0.6627


def test_a_weighted_sum_that_lands_at_an_end_is_tried_once_more_halfway_between_the_ends_weights():
    """One training that misses what lies between two ends does not end the sweep there."""
    given = [(0.0, 1.0), (0.1, 0.0), (0.0, 1.0), (0.02, 0.2)]
    found = eq.front.sweep(lambda preference: given.pop(0), ["a", "b"], runs=4, criterion="linear")
    assert found.preferences[2].weights == pytest.approx((10 / 11, 1 / 11))  # the normal of the chord
    assert found.preferences[3].weights == pytest.approx((0.5, 0.5))
    assert found.gaps[2:] == ((0, 1), (0, 1))
    assert found.holes == ()
    given = [(0.0, 1.0), (0.1, 0.0), (0.0, 1.0), (0.1, 0.0), (0.0, 1.0)]
    found = eq.front.sweep(lambda preference: given.pop(0), ["a", "b"], runs=5, criterion="linear")
    assert found.holes == ((0, 1),)
    assert len(found.losses) == 4


@pytest.mark.parametrize("criterion", ["linear", "tchebycheff"])
def test_rounding_is_no_range_and_takes_no_weight_from_the_other_tasks(criterion):
    """All corners reach b = 0, but for rounding: a run between them must not care for b alone."""
    noise = iter([1e-33, 0.0, 3e-33, 2e-33, 0.0, 1e-34, 1e-33])

    def train(preference):
        share = float(preference.weights[0])
        return [1 - share, next(noise), share]

    found = eq.front.sweep(train, ["a", "b", "c"], runs=7, criterion=criterion)
    made = np.array(found.preferences[6].weights)
    assert made[1] == pytest.approx(1 / 3)  # as much as the others in the mean
    assert made.min() > 0.05


def test_no_preference_is_made_twice():
    """Where the point of a gap lies to the side of it, the gap stays, and with it what is aimed at."""
    corners = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    given = iter([*corners, *corners, (0.5, 0.9, 0.05), (0.05, 0.5, 0.9), (0.9, 0.05, 0.5)])
    found = eq.front.sweep(lambda preference: next(given), ["a", "b", "c"], runs=9)
    assert len(set(found.preferences)) == len(found.preferences)


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="must return 2 finite losses"):
        eq.front.sweep(lambda preference: [1.0, np.nan], ["a", "b"])
    with pytest.raises(TaskError, match="at least two different names"):
        eq.front.sweep(on_front("quad", []), ["a", "a"])
    with pytest.raises(SettingError, match="`runs` must be a whole number of at least 2"):
        eq.front.sweep(on_front("quad", []), ["a", "b"], runs=1)


def test_a_sweep_goes_on_from_another_and_fills_its_hole():
    calls = []
    train = on_front("zdt2", calls)
    linear = eq.front.sweep(train, ["f1", "f2"], runs=4, criterion="linear")
    made = len(calls)
    both = eq.front.sweep(train, ["f1", "f2"], runs=3, known=linear)
    assert len(calls) == made + 3 == len(both.losses)
    assert both.preferences[:made] == linear.preferences
    assert both.gaps[:2] == (None, None)
    assert both.gaps[made] == linear.holes[0]
    inside = both.losses[made:, 0]
    assert ((inside > 0.05) & (inside < 0.95)).all()


def test_rays_from_zero_go_through_the_middle_of_the_gap():
    def train(preference):
        if isinstance(preference, eq.LinearScalarization):
            return {0.99: (0.2, 1.0)}.get(round(preference.weights[0], 2), (1.0, 0.4))
        return 1 / np.array(preference.weights)

    found = eq.front.sweep(train, ["a", "b"], runs=3, origin="zero")
    assert found.preferences[2].ideal is None
    weights = np.array(found.preferences[2].weights)
    assert weights[1] / weights[0] == pytest.approx(0.6 / 0.7)
    with pytest.raises(SettingError, match="origin='zero' needs positive losses"):
        eq.front.sweep(lambda preference: 1.0 - np.round(preference.weights), ["a", "b"], runs=3, origin="zero")
    with pytest.raises(TaskError, match="`known` is a sweep of"):
        eq.front.sweep(train, ["x", "y"], runs=1, known=found)
