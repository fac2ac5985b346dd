"""MoCo, Tracked and DBMTL: gradients followed over steps, against loops in plain NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import LossError, SettingError
from equipoise.methods.base import Step
from equipoise.solve import Status

from .matrices import gradients, run, take


def follow(history, rate):
    """The tracked gradients of every step."""
    tracked, found = history[0].copy(), []
    for number, rows in enumerate(history):
        beta = rate(number + 1)
        tracked = tracked - beta * (tracked - rows)
        found.append(tracked)
    return found


def slow_projection(point):
    """The closest point of the simplex by bisection on the threshold."""
    low, high = point.min() - 1, point.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(point - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(point - low, 0)


@pytest.mark.parametrize("schedule", ["constant", "decaying"])
@given(k=st.integers(1, 5), seed=st.integers(0, 10_000), rho=st.sampled_from([0.0, 0.5]))
@settings(max_examples=25, deadline=None)
def test_moco_is_its_three_lines(schedule, k, seed, rho):
    history = [gradients(k, seed + t, columns=6) for t in range(5)]
    found = run(eq.MoCo(beta=0.4, gamma=0.05, rho=rho, schedule=schedule), history)
    slower = (lambda t: t**-0.5) if schedule == "decaying" else (lambda t: 1.0)
    dual = np.full(k, 1 / k)
    for t, tracked in enumerate(follow(history, lambda t: 0.4 * slower(t)), start=1):
        dual = slow_projection(dual - 0.05 * slower(t) * (tracked @ tracked.T + rho * np.eye(k)) @ dual)
        np.testing.assert_allclose(found[t - 1].state["dual"], dual, atol=1e-10)
        np.testing.assert_allclose(found[t - 1].direction, dual @ tracked, atol=1e-9)


def test_moco_on_one_gradient_for_ever_goes_to_the_min_norm_point():
    rows = gradients(4, 1)
    found = run(eq.MoCo(gamma=0.02), [rows] * 3000)[-1]
    np.testing.assert_allclose(found.direction, take(eq.MGDA(), rows).direction, atol=1e-6)


def test_moco_averages_noise_away_where_the_plain_min_norm_point_cannot():
    rows = gradients(3, 0, columns=4) + 1.0
    noise = np.random.default_rng(0)
    history = [rows + noise.normal(size=rows.shape) for _ in range(800)]
    wanted = take(eq.MGDA(), rows).direction.numpy()
    tracked = np.mean([o.direction.numpy() for o in run(eq.MoCo(beta=0.05, gamma=0.02), history)[200:]], axis=0)
    plain = np.mean([take(eq.MGDA(), rows).direction.numpy() for rows in history[200:]], axis=0)
    assert np.linalg.norm(tracked - wanted) < 0.5 * np.linalg.norm(plain - wanted)


def test_absent_tasks_keep_their_gradient_and_their_share():
    method = eq.MoCo()
    first = run(method, [gradients(3, t) for t in range(2)])[-1]
    second = take(method, gradients(3, 7), state=first.state, present=(0, 2))
    assert torch.equal(first.state["tracked"][1], second.state["tracked"][1])
    assert first.state["dual"][1] == second.state["dual"][1]
    assert float(second.state["dual"].sum()) == pytest.approx(1)
    assert second.state["seen"].tolist() == [3, 2, 3]


def test_a_task_that_joins_late_starts_at_its_first_gradient():
    first = take(eq.MoCo(), gradients(3, 0), present=(0, 1))
    rows = gradients(3, 1)
    second = take(eq.MoCo(), rows, state=first.state)
    np.testing.assert_array_equal(second.state["tracked"][2], rows[2])


@pytest.mark.parametrize("inner", [eq.MGDA(), eq.PCGrad(), eq.InverseNorm(), eq.AlignedMTL(), eq.Smoothed(eq.MGDA())])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_tracked_is_the_inner_method_on_the_tracked_gradients(inner, seed):
    history = [gradients(4, seed + t) for t in range(4)]
    found = run(eq.Tracked(inner, beta=0.3), history)
    wanted = run(inner, follow(history, lambda t: 0.3))
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours.direction, theirs.direction, atol=1e-6)
        assert ours.status is theirs.status


@pytest.mark.parametrize("inner", [eq.MGDA(), eq.GradVac(), eq.GradNorm()])
def test_tracked_with_beta_one_is_the_inner_method(inner):
    history, losses = [gradients(3, t) for t in range(4)], [[1.0, 2.0, 3.0]] * 4
    for ours, theirs in zip(run(eq.Tracked(inner, 1.0), history, losses), run(inner, history, losses), strict=True):
        np.testing.assert_allclose(ours.direction, theirs.direction, atol=1e-10)
        for name, tensor in theirs.state.items():
            torch.testing.assert_close(ours.state[f"inner_{name}"], tensor)


def test_tracked_passes_per_task_settings_and_absent_tasks_on():
    method = eq.Tracked(eq.AlignedMTL({"a": 1.0, "b": 2.0, "c": 3.0}), beta=1.0)
    rows = gradients(3, 0)
    found = take(method, rows, present=(0, 2))
    np.testing.assert_allclose(found.direction, take(method.method, rows, present=(0, 2)).direction, atol=1e-8)
    memory = eq.Tracked(eq.GradVac(beta=0.5))
    first = take(memory, rows)
    second = take(memory, gradients(3, 1), state=first.state, present=(0, 2))
    assert torch.equal(first.state["inner_targets"][1], second.state["inner_targets"][1])


def test_tracked_leaves_a_finished_task_out_and_says_when_all_are():
    rows = np.vstack([gradients(2, 0), np.zeros(12)])
    np.testing.assert_allclose(take(eq.Tracked(eq.MGDA()), rows).direction, take(eq.MGDA(), rows).direction, atol=1e-12)
    stopped = take(eq.Tracked(eq.MGDA()), np.zeros((2, 3)))
    assert stopped.status is Status.STATIONARY
    assert stopped.direction.tolist() == [0, 0, 0]


@pytest.mark.parametrize("method", [eq.Tracked(), eq.Tracked(eq.InverseNorm()), eq.MoCo(), eq.DBMTL()], ids=repr)
def test_a_task_that_finishes_neither_stops_nor_pulls_the_others(method):
    # its followed gradient fades by halves: as a row of the problem it would stop MGDA, as a unit vector pull DB-MTL
    rows = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 5.0]])
    finished = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    found = run(method, [rows, rows, *[finished] * 20])
    share = 0.5 if isinstance(method, eq.DBMTL) else 1.0  # means still count a finished task
    for outcome in found[2:]:
        np.testing.assert_allclose(outcome.direction, share * rows[0], rtol=1e-12)
    assert float(found[-1].state["tracked"][1].norm()) < 1.0  # the memory follows the formula all the same


@pytest.mark.parametrize("method", [eq.Tracked(), eq.MoCo(), eq.DBMTL()], ids=repr)
def test_gradients_that_are_all_zero_stop_the_step_and_say_so(method):
    found = run(method, [gradients(2, 0, columns=3), np.zeros((2, 3))])[-1]
    assert found.status is Status.STATIONARY
    assert not found.direction.any()


def test_what_cannot_be_tracked_is_refused_by_name():
    for inner in (eq.MGDAUB(), eq.LinearScalarization(), eq.MoCo(), eq.MoDo(), eq.SDMGrad(sampling="double")):
        with pytest.raises(SettingError, match=f"`Tracked` needs.*got {type(inner).__name__}"):
            eq.Tracked(inner)
    with pytest.raises(SettingError, match="`beta`"):
        eq.Tracked(eq.MGDA(), beta=0.0)
    with pytest.raises(SettingError, match=r"`beta`.*`gamma`.*`rho`.*`schedule`"):
        eq.MoCo(beta=2.0, gamma=float("inf"), rho=float("inf"), schedule="never")
    eq.Tracked(eq.SDMGrad())  # of one batch


@given(k=st.integers(1, 6), seed=st.integers(0, 10_000), beta=st.sampled_from([0.0, 0.5, 0.9]))
@settings(max_examples=25, deadline=None)
def test_db_mtl_is_its_two_lines(k, seed, beta):
    draw = np.random.default_rng(seed)
    history = [gradients(k, seed + t) for t in range(4)]
    losses = [draw.uniform(0.1, 5.0, size=k) for _ in range(4)]
    found = run(eq.DBMTL(beta=beta), history, losses)
    relative = [rows / values[:, None] for rows, values in zip(history, losses, strict=True)]
    for outcome, tracked in zip(found, follow(relative, lambda t: 1 - beta), strict=True):
        norms = np.linalg.norm(tracked, axis=1)
        wanted = np.mean(norms.max() * tracked / norms[:, None], axis=0)
        np.testing.assert_allclose(outcome.direction, wanted, rtol=1e-9, atol=1e-12)


def test_db_mtl_does_not_see_the_unit_of_any_loss():
    rows, losses = gradients(3, 0), np.array([1.0, 2.0, 3.0])
    factors = np.array([1e-6, 1.0, 1e5])
    before = take(eq.DBMTL(), rows, losses).direction
    np.testing.assert_allclose(take(eq.DBMTL(), factors[:, None] * rows, factors * losses).direction, before, rtol=1e-9)


def test_db_mtl_lets_a_finished_task_rest_and_refuses_a_loss_without_logarithm():
    rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert take(eq.DBMTL(), rows, [1.0, 0.0]).direction.tolist() == [1.5, 2.0]
    with pytest.raises(LossError, match="a = 0"):
        take(eq.DBMTL(), rows, [0.0, 1.0])
    with pytest.raises(LossError, match="give `losses`"):
        eq.DBMTL().direction(torch.ones(1, 2), eq.DBMTL().init(1, 2), Step(Tasks(("a",))))
    with pytest.raises(SettingError, match="`beta`"):
        eq.DBMTL(beta=1.0)
