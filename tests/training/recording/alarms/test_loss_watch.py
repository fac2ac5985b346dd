"""A task that stands still beside tasks that improve is found in time; healthy curves are not."""

import numpy as np
import pytest

from equipoise.training.recording.alarms.loss_watch import LossWatch

STEPS = 1000
TIME = np.arange(STEPS)[:, None]
IMPROVING = np.hstack([0.05 + 0.95 * (1 + TIME / 30) ** -0.8, (1 + TIME / 60.0) ** -0.6])


def watched(curves, seed=0, noise=0.15, level=0.005):
    """What is found in noisy losses about some curves; they arrive as lines of 50 steps."""
    shape = (noise**-2, noise**2)
    losses = curves * np.random.default_rng(seed).gamma(*shape, size=curves.shape)
    watch, found = LossWatch(curves.shape[1], level), []
    for start in range(0, len(losses), 50):
        found += watch.add(list(range(start + 1, start + 51)), losses[start : start + 50])
    return found


def beside(third):
    return np.hstack([IMPROVING, np.broadcast_to(third, (STEPS, 1))])


def test_a_task_of_noise_is_found_as_standing_still():
    found = watched(beside(np.where(TIME < 20, 1.4, 1.0)))
    assert [(stop.task, stop.rose) for stop in found] == [(2, False)]
    stop = found[0]
    assert stop.found <= 400
    assert stop.since <= 128
    assert stop.own == pytest.approx(1.0, abs=0.2)
    assert stop.others < np.exp(-0.4)


def test_labels_that_are_shuffled_from_a_step_on_are_found_within_a_tenth_of_the_run():
    found = watched(beside(np.where(TIME < 500, (1 + TIME / 60.0) ** -0.6, 0.9)))
    assert [(stop.task, stop.rose) for stop in found] == [(2, True)]
    assert 500 < found[0].found <= 600
    assert 400 <= found[0].since <= 500


def test_a_task_that_has_finished_is_found_with_how_far_it_came():
    found = watched(beside(np.maximum(np.exp(-TIME / 40), 0.05)), noise=0.1)
    assert {stop.task for stop in found} <= {2}
    assert all(stop.before < 0.5 and not stop.rose for stop in found)


def healthy(seed):
    """Power laws, exponentials that end together, and runs that have converged, of two to five tasks."""
    generator = np.random.default_rng(seed)
    k, kind = int(generator.integers(2, 6)), seed % 3
    if kind == 0:
        return 0.02 + (1 + TIME / generator.uniform(20, 100, k)) ** -generator.uniform(0.5, 1.0, k)
    if kind == 1:
        floor = generator.uniform(0.02, 0.2)
        return floor + (1 - floor) * np.exp(-TIME / generator.uniform(100, 200, k))
    return np.ones((STEPS, 1)) * generator.uniform(0.1, 3, k)


def test_healthy_runs_give_no_alarm():
    assert [seed for seed in range(9) if watched(healthy(seed), seed, noise=(0.05, 0.15, 0.3)[seed // 3])] == []


def test_the_units_of_the_losses_do_not_matter():
    curves = beside(np.where(TIME < 20, 1.4, 1.0))
    plain, scaled = watched(curves), watched(curves * np.array([1e6, 1.0, 1e-9]))
    assert [(a.task, a.since, a.found) for a in plain] == [(b.task, b.since, b.found) for b in scaled]


def test_absent_values_are_left_out():
    curves = beside(np.where(TIME < 20, 1.4, 1.0))
    curves[::3, 2] = np.nan
    curves[1::4, 0] = np.nan
    assert [stop.task for stop in watched(curves)] == [2]


def test_a_loss_that_is_not_positive_is_not_watched():
    curves = beside(np.where(TIME < 20, 1.4, 1.0))
    curves[100, 2] = 0.0
    losses = LossWatch(3, 0.005)
    found = losses.add(list(range(STEPS)), curves)
    assert found == []
    assert losses.watched.tolist() == [True, True, False]


def test_one_task_alone_is_found_only_where_it_rises():
    flat, rising = np.ones((STEPS, 1)), np.where(TIME < 500, 0.5, 1.0)
    assert watched(flat) == []
    assert [stop.rose for stop in watched(rising)] == [True]
