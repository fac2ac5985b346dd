"""FERERO: its problem against other routes to the answer, what a step promises, and where its steps end."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

import equipoise as eq
from equipoise.errors import LossError, PreferenceError, SettingError, TaskError
from equipoise.fronts.indicators import ray_angles
from equipoise.problems import DTLZ2, named

from .on_a_ray import OFF_THE_FRONT, WISHES, descend


def along_a_line(rows, losses, ray, rate):
    """The direction for a ray: falls of rate * losses - t * ray, for the best t."""
    pinv = np.linalg.pinv(rows)

    def value(t):
        d = pinv @ (rate * losses - t * ray)
        return d @ d / 2 - (rows @ d).min()

    best = minimize_scalar(value, bracket=(-1, 1), tol=1e-12).x
    return pinv @ (rate * losses - best * ray)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_ray_leaves_one_unknown_which_a_line_search_finds(k):
    draw = np.random.default_rng(k)
    rows, losses, ray = draw.normal(size=(k, 8)), draw.uniform(0.5, 2, size=k), draw.uniform(0.5, 2, size=k)
    found = eq.direction(eq.FERERO(ray=tuple(ray), rate=0.3), rows, losses).numpy()
    assert found == pytest.approx(along_a_line(rows, losses, ray, 0.3), abs=1e-6)


def test_the_papers_projected_gradient_steps_on_the_dual_end_there():
    rows, losses, ray = np.array([[1.0, 0.5, 0.0], [-0.4, 1.0, 0.2]]), np.array([1.5, 0.5]), np.array([1.0, 2.0])
    across = np.array([ray[1], -ray[0]]) / np.linalg.norm(ray)
    gramian, aimed, price = rows @ rows.T, np.full(2, 0.5), 0.0
    for _ in range(3000):
        products = gramian @ (aimed + price * across)
        share = np.clip((aimed - 0.1 * products)[0] - ((aimed - 0.1 * products).sum() - 1) / 2, 0, 1)
        aimed, price = np.array([share, 1 - share]), price - 0.1 * (across @ products - across @ losses)
    found = eq.weights(eq.FERERO(ray=tuple(ray)), gramian, losses=losses).numpy()
    assert found == pytest.approx(aimed + price * across, abs=1e-9)


def test_limits_for_two_of_four_losses_by_their_optimality_conditions():
    draw = np.random.default_rng(3)
    rows, losses = draw.normal(size=(4, 9)), np.array([1.0, 9.0, 0.5, 1.2])
    found = eq.direction(eq.FERERO(bounds={"task1": 1.0, "task2": 0.7}), rows, losses).numpy()
    free = rows[[0, 3]].mean(axis=0)
    prices = np.linalg.lstsq(rows[[1, 2]].T, found - free, rcond=None)[0]
    slack = rows[[1, 2]] @ found - np.array([8.0, -0.2])
    assert found == pytest.approx(free + prices @ rows[[1, 2]], abs=1e-12)
    assert (prices >= -1e-12).all()
    assert (slack >= -1e-12).all()
    assert prices * slack == pytest.approx(np.zeros(2), abs=1e-12)
    assert prices[0] > 0.1  # the first limit is missed: it costs something


@pytest.mark.parametrize("losses", [(3.0, 1.0, 2.0), (300.0, 1.0, 2.0)])
def test_a_step_takes_its_share_off_the_distance_and_the_excess_whatever_the_gradients(losses):
    draw = np.random.default_rng(5)
    rows, losses = draw.normal(size=(3, 7)) * np.array([[1e-3], [1.0], [1e3]]), np.array(losses)
    method = eq.FERERO(ray=(1.0, 1.0, 2.0), bounds={"task0": 1.5}, rate=0.5)
    falls = rows @ eq.direction(method, rows, losses).numpy()
    ray = np.array([1.0, 1.0, 2.0]) / math.sqrt(6)
    after = falls - 0.5 * losses
    assert after == pytest.approx(after @ ray * ray, abs=1e-6 * np.abs(losses).max())
    assert falls[0] >= 0.5 * (losses[0] - 1.5) * (1 - 1e-9)


def test_limits_that_are_far_leave_the_mean_of_the_others():
    rows = np.random.default_rng(0).normal(size=(3, 6))
    assert eq.weights(eq.FERERO(bounds={"task1": 50.0}), rows @ rows.T, losses=[1, 1, 1]).tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(("name", "ray"), WISHES)
def test_it_ends_on_the_ray_and_on_the_front(name, ray):
    losses = descend(named(name), eq.FERERO(), eq.Ray(ray), steps=250, rate=0.3)
    assert ray_angles(losses[None], [ray])[0] < 0.01
    assert abs(OFF_THE_FRONT[name](losses)) < 5e-3


def test_three_losses_too():
    losses = descend(DTLZ2(), eq.FERERO(), eq.Ray((1.0, 2.0, 3.0)), steps=250, rate=0.2)
    assert ray_angles(losses[None], [[1.0, 2.0, 3.0]])[0] < 0.01
    assert np.linalg.norm(losses) == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(("name", "wish", "ends"), [("quad", {"f1": 0.04}, [0.04, 0.64]), ("expo", {"f1": 0.3}, None)])
def test_it_holds_a_limit_and_ends_on_the_front(name, wish, ends):
    losses = descend(named(name), eq.FERERO(), eq.Bounds(wish), steps=250, rate=0.2)
    assert losses[0] == pytest.approx(wish["f1"], abs=1e-5)
    assert abs(OFF_THE_FRONT[name](losses)) < 1e-3
    assert ends is None or losses == pytest.approx(ends, abs=1e-3)


def test_a_preference_comes_in_place_of_the_setting_of_its_kind():
    gramian, losses = [[1.0, 0.2], [0.2, 2.0]], [2.0, 1.0]

    def found(method, preference=None):
        return eq.weights(method, gramian, losses=losses, preference=preference).tolist()

    assert found(eq.FERERO(ray=(5.0, 1.0)), eq.Ray((1.0, 2.0))) == found(eq.FERERO(ray=(1.0, 2.0)))
    assert found(eq.FERERO(), eq.Bounds({"task0": 1.0})) == found(eq.FERERO(bounds={"task0": 1.0}))
    both = eq.FERERO(ray=(1.0, 1.0), bounds={"task0": 0.5})
    assert found(eq.FERERO(bounds={"task0": 0.5}), eq.Ray((1.0, 1.0))) == found(both)
    assert found(both) != found(eq.FERERO(ray=(1.0, 1.0)))


def test_a_cone_of_one_row_is_a_weighted_sum_that_keeps_to_the_ray():
    draw = np.random.default_rng(2)
    rows, losses, weights = draw.normal(size=(3, 8)), np.array([1.0, 2.0, 0.5]), np.array([0.2, 0.3, 0.5])
    across = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]])
    slopes = across @ rows
    project = np.linalg.pinv(slopes)
    wanted = weights @ rows - project @ (slopes @ (weights @ rows)) + project @ (across @ losses)
    found = eq.direction(eq.FERERO(cone=({"task2": 0.5, "task0": 0.2, "task1": 0.3},)), rows, losses).numpy()
    assert found == pytest.approx(wanted, abs=1e-10)


def test_the_cone_of_all_losses_is_the_default_and_a_wider_one_gives_up_more():
    rows, losses = np.array([[1.0, 0.0], [-0.5, 1.0]]), np.array([1.0, 1.0])
    axes = eq.FERERO(bounds={"task0": 9.0}, cone=((1.0, 0.0), (0.0, 1.0)))
    assert (rows @ eq.direction(axes, rows, losses).numpy() > 0).all()
    pulled = eq.direction(eq.FERERO(bounds={"task0": 9.0}, cone=((1.0, 4.0), (0.0, 1.0))), rows, losses).numpy()
    assert (rows @ pulled)[0] < 0 < (rows @ pulled)[1]


def test_conditions_that_no_step_meets_are_said_and_nothing_moves():
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    balancer = eq.Balancer(eq.FERERO(), shared=[parameter])
    balancer({"a": 2 * parameter.sum(), "b": 2 * parameter.sum() - 3}).backward()
    assert parameter.grad.tolist() == [0.0, 0.0]
    assert balancer.counts["NO_SOLUTION"] == 1


def test_tasks_without_labels_take_no_part():
    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    balancer = eq.Balancer(eq.FERERO(ray={"a": 1.0, "b": 2.0, "c": 1.0}), shared=[parameter])
    balancer({"a": parameter[0] * 4, "b": None, "c": parameter[2]}).backward()
    assert 4 * parameter.grad[0] - parameter.grad[2] == pytest.approx(1.0)  # (4 - 3): the distance, at rate 1


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(LossError, match="FERERO follows a ray, so no loss may be negative; those of 'task1' are"):
        eq.weights(eq.FERERO(), torch.eye(2), losses=[1.0, -1.0])
    assert torch.isfinite(eq.weights(eq.FERERO(bounds={"task0": 0.0}), torch.eye(2), losses=[1.0, -1.0])).all()
    with pytest.raises(TaskError, match="`Bounds` names 'depth'"):
        eq.weights(eq.FERERO(bounds={"depth": 0.0}), torch.eye(2), losses=[1.0, 1.0])
    with pytest.raises(PreferenceError, match="positive proportions"):
        eq.FERERO(ray=(1.0, 0.0))
    with pytest.raises(PreferenceError, match="it honours `Ray`, `Bounds`"):
        eq.weights(eq.FERERO(), torch.eye(2), losses=[1.0, 1.0], preference=eq.ReferencePoint((1.0, 1.0)))
    with pytest.raises(SettingError, match="`rate` must be positive"):
        eq.FERERO(rate=0.0)
    for cone in ((), ((0.0, 0.0),), ((1.0, 0.0), None)):
        with pytest.raises(SettingError, match="`cone` must hold rows of one number a task, none of them all zero"):
            eq.FERERO(cone=cone)
