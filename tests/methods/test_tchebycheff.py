"""The largest weighted distance from the ideal point."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError

from .histories import play, random_history, weigh


def test_one_step_by_hand():
    seen = weigh(eq.Tchebycheff((1.0, 3.0), ideal=(0.5, 1.0), utopia=0.0), [3.0, 2.0])
    # factors k w / sum w = (0.5, 1.5); terms 0.5 * 2.5 and 1.5 * 1
    assert seen.criterion == pytest.approx(1.5)
    assert seen.weights.tolist() == pytest.approx([0.0, 1.5])


@pytest.mark.parametrize("kind", [eq.Tchebycheff, eq.SmoothTchebycheff])
def test_a_given_ideal_is_used_as_written_and_only_a_running_one_is_shifted_unasked(kind):
    assert kind(ideal=(2.0, 1.0)).utopia == 0.0
    assert kind(ideal=(2.0, 1.0), utopia=0.1).utopia == 0.1
    assert kind().utopia == kind(ideal=None).utopia == 0.01  # as in states of version 0.1.0, which name the settings
    assert kind(utopia=0.0).utopia == 0.0


def test_a_given_ideal_decides_the_value_and_the_worst_task():
    # above the ideal by 0.5 and 0.51: a shift of 1 % of the ideal would make the first task the worst (0.6 and 0.52)
    seen = weigh(eq.Tchebycheff(ideal=(10.0, 1.0)), [10.5, 1.51])
    assert seen.criterion == pytest.approx(0.51, abs=1e-15)
    assert seen.weights.tolist() == [0.0, 1.0]
    assert weigh(eq.Tchebycheff(ideal=(10.0, 1.0), utopia=0.01), [10.5, 1.51]).weights.tolist() == [1.0, 0.0]
    assert weigh(eq.Tchebycheff(ideal=(10.0, 1.0)), [10.0, 1.0]).criterion == 0.0  # the ideal itself is allowed


def test_utopia_lies_below_the_ideal_by_a_share_of_its_size_whatever_its_sign():
    for ideal in (2.0, -2.0):
        seen = weigh(eq.Tchebycheff(ideal=(ideal,), utopia=0.1), [3.0])
        assert seen.criterion == pytest.approx(3.0 - ideal + 0.2)


def test_exact_ties_share_the_gradient():
    assert weigh(eq.Tchebycheff(ideal=None), [2.0, 2.0, 1.0]).weights.tolist() == [0.5, 0.5, 0.0]


def test_the_augmentation_adds_its_share_of_every_task():
    seen = weigh(eq.Tchebycheff(ideal=None, augmented=0.01), [2.0, 3.0])
    assert seen.weights.tolist() == pytest.approx([0.01, 1.01])
    assert seen.criterion == pytest.approx(3.05)


def test_the_running_ideal_is_the_lowest_loss_seen_of_each_task():
    history = random_history(12, 3)
    played = play(eq.Tchebycheff(utopia=0.02), history)
    for number, weighed in enumerate(played):
        lowest = np.min(history[: number + 1], axis=0)
        above = np.array(history[number]) - 0.98 * lowest
        wanted = np.zeros(3)
        wanted[np.argmax(above)] = 1.0
        assert weighed.weights.tolist() == wanted.tolist()
        assert float(weighed.criterion) == pytest.approx(above.max())
        assert weighed.state["ideal"].tolist() == lowest.tolist()


def test_a_given_ideal_above_a_loss_is_refused_by_name():
    method = eq.Tchebycheff(ideal={"a": 0.5, "b": 0.5, "c": 0.1})
    with pytest.raises(LossError, match=r"the losses of 'b' have fallen below it \(\[0\.2\] < \[0\.5\]\)"):
        weigh(method, [1.0, 0.2, 1.0])


def test_a_task_of_weight_zero_takes_no_part_even_where_all_others_are_negative():
    seen = weigh(eq.Tchebycheff((1.0, 1.0, 0.0), ideal=None), [-2.0, -1.0, 5.0])
    assert seen.weights.tolist() == [0.0, 1.5, 0.0]


@pytest.mark.parametrize("target", [(0.2, 0.8), (0.5, 0.5), (0.9, 0.1)])
def test_with_the_right_weights_it_finds_any_point_of_a_concave_front(target):
    # the front f1^2 + f2^2 = 1 bends away from the origin's side: no weighted sum has an inner minimiser
    point = np.sqrt(target)
    angles = np.linspace(0, np.pi / 2, 20001)
    front = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    factors = 2 * (1 / point) / (1 / point).sum()
    best = front[np.argmin((front * factors).max(axis=1))]
    assert best == pytest.approx(point, abs=2e-4)
    losses = torch.tensor(point, dtype=torch.float64)
    method = eq.Tchebycheff(tuple(1 / point), ideal=None)
    assert float(weigh(method, losses.tolist()).criterion) == pytest.approx(
        (front * factors).max(axis=1).min(), abs=1e-3
    )
    mixed = front @ (1 / point)
    assert np.argmin(mixed) in (0, len(front) - 1)
