"""Methods in which one task comes first: MetaBalance, PCD, GradientAnnealing, each written down once more."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.errors import SettingError, TaskError
from equipoise.methods.parts.primary import primary_row
from equipoise.solve import Status

from .matrices import gradients, run, take

FIRST = (eq.MetaBalance, eq.PCD, eq.GradientAnnealing)


def history(k=3, steps=6):
    return [gradients(k, seed) * np.linspace(0.5, 3.0, k)[:, None] * (1 + seed) for seed in range(steps)]


def slow_meta_balance(rows_of, relax, beta):
    """The authors' loop: moving averages from zero, no division; the same ratio."""
    averages, found = np.zeros(len(rows_of[0])), []
    for rows in rows_of:
        total = np.zeros(rows.shape[1])
        for i, row in enumerate(rows):
            averages[i] = beta * averages[i] + (1 - beta) * np.linalg.norm(row)
            total += relax * row * averages[0] / averages[i] + (1 - relax) * row
        found.append(total / len(rows))
    return found


@pytest.mark.parametrize(("relax", "beta"), [(0.7, 0.9), (1.0, 0.0), (0.3, 0.99)])
def test_metabalance_is_the_authors_loop(relax, beta):
    steps = history()
    found_of, wanted_of = run(eq.MetaBalance(relax=relax, beta=beta), steps), slow_meta_balance(steps, relax, beta)
    for found, wanted in zip(found_of, wanted_of, strict=True):
        np.testing.assert_allclose(found.direction, wanted, rtol=1e-12)


def test_metabalance_without_its_primary_task_uses_the_last_length():
    method, rows = eq.MetaBalance(relax=1.0, beta=0.0), np.array([[3.0, 0.0], [0.0, 1.0]])
    state = take(method, rows).state
    np.testing.assert_allclose(take(method, rows, state=state, present=(1,)).direction, [0.0, 3.0], rtol=1e-14)
    finished = np.array([[0.0, 0.0], [0.0, 1.0]])  # the mean still counts it
    np.testing.assert_allclose(take(method, finished, state=state).direction, [0.0, 1.5], rtol=1e-14)
    np.testing.assert_allclose(take(method, rows, present=(1,)).direction, [0.0, 1.0], rtol=1e-14)  # none seen yet


def slow_pcd(rows_of, tau, beta):
    """The quadratic program in the space of the parameters, by a general solver."""
    average, found = np.zeros(len(rows_of[0])), []
    for number, rows in enumerate(rows_of, start=1):
        average = beta * average + (1 - beta) * (rows**2).sum(axis=1)
        scaled = rows / np.sqrt(average / (1 - beta**number))[:, None]
        limits = {
            "type": "ineq",
            "fun": lambda d, g=scaled: g[1:] @ d - tau * (g[1:] ** 2).sum(axis=1),
            "jac": lambda d, g=scaled: g[1:],
        }
        solved = minimize(
            lambda d, g=scaled: ((d - g[0]) ** 2).sum(),
            scaled[0],
            jac=lambda d, g=scaled: 2 * (d - g[0]),
            constraints=limits,
            options={"ftol": 1e-16, "maxiter": 1000},
        ).x
        found.append(np.linalg.norm(rows[0]) * solved / np.linalg.norm(solved))
    return found


@pytest.mark.parametrize(("tau", "beta"), [(0.02, 0.999), (0.5, 0.0), (1.0, 0.9)])
def test_pcd_is_the_quadratic_program(tau, beta):
    steps = history(4)
    for found, wanted in zip(run(eq.PCD(tau=tau, beta=beta), steps), slow_pcd(steps, tau, beta), strict=True):
        np.testing.assert_allclose(found.direction, wanted, atol=2e-6)


@pytest.mark.parametrize("seed", range(20))
def test_pcd_for_two_tasks_is_the_closed_form(seed):
    rows, tau = gradients(2, seed), 0.3
    one, two = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = one + max(tau - one @ two, 0.0) * two
    wanted *= np.linalg.norm(rows[0]) / np.linalg.norm(wanted)
    np.testing.assert_allclose(take(eq.PCD(tau=tau, beta=0.0), rows).direction, wanted, rtol=1e-10, atol=1e-13)


def test_pcd_keeps_the_promise_to_every_secondary_task():
    for seed in range(20):
        rows = gradients(5, seed)
        found = take(eq.PCD(tau=0.4, beta=0.0), rows)
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        vector = found.direction.numpy()
        scale = found.weights.numpy()[0] * np.linalg.norm(
            rows[0]
        )  # d over the projection before it is brought to length
        assert (units[1:] @ vector >= (0.4 - 1e-10) * scale).all()
        assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(rows[0]), rel=1e-12)


def test_pcd_follows_the_primary_gradient_where_the_others_cannot_all_be_served():
    found = take(eq.PCD(), [[2.0, 1.0], [0.0, 1.0], [0.0, -3.0]])
    np.testing.assert_allclose(found.direction, [2.0, 1.0], rtol=1e-14)
    assert found.status is Status.STATIONARY


@pytest.mark.parametrize("rows", [[[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]]], ids=["no primary", "opposite"])
def test_pcd_stands_still_without_a_direction(rows):
    found = take(eq.PCD(tau=0.0), rows)
    assert found.status is Status.NO_SOLUTION
    assert not found.direction.any()


def test_pcd_stands_still_without_its_primary_task():
    found = take(eq.PCD(), [[1.0, 0.0], [0.0, 1.0]], present=(1,))
    assert found.status is Status.NO_SOLUTION
    assert not found.direction.any()


def slow_annealing(rows_of, beta):
    factors, found = np.ones(len(rows_of[0])), []
    for rows in rows_of:
        for i in range(1, len(rows)):
            factors[i] = beta * factors[i] + (1 - beta) * np.abs(rows[0]).max() / np.abs(rows[i]).mean()
        found.append((factors[:, None] * rows).mean(axis=0))
    return found


@pytest.mark.parametrize("beta", [0.9, 0.0])
def test_annealing_is_the_formula(beta):
    steps = history(4)
    for found, wanted in zip(run(eq.GradientAnnealing(beta=beta), steps), slow_annealing(steps, beta), strict=True):
        np.testing.assert_allclose(found.direction, wanted, rtol=1e-12)


@pytest.mark.parametrize("rows", [[[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [0.0, 0.0]]], ids=["residual", "boundary"])
def test_a_zero_gradient_leaves_the_annealed_factors(rows):
    found = take(eq.GradientAnnealing(beta=0.0), rows)
    np.testing.assert_array_equal(found.state["factors"], [1.0, 1.0])
    np.testing.assert_allclose(found.direction, [0.5, 0.5], rtol=1e-15)


@pytest.mark.parametrize("kind", FIRST)
def test_the_primary_task_by_name_is_the_same_as_in_first_place(kind):
    rows = gradients(3, 5)
    first = take(kind(), rows[[2, 0, 1]]).direction
    np.testing.assert_allclose(take(kind(primary="c"), rows).direction, first, rtol=1e-13)


@pytest.mark.parametrize("kind", FIRST)
def test_a_primary_task_that_is_none_is_refused(kind):
    with pytest.raises(TaskError, match=r"`primary` must be one of the tasks 'a', 'b'; got 'd'"):
        take(kind(primary="d"), gradients(2, 0))
    with pytest.raises(SettingError, match="`primary` must be the name of a task"):
        kind(primary=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: eq.MetaBalance(relax=1.1), "`relax` must lie"),
        (lambda: eq.MetaBalance(beta=1.0), "`beta` in"),
        (lambda: eq.PCD(tau=-0.1), "`tau` must lie"),
        (lambda: eq.PCD(beta=float("nan")), "`beta` in"),
        (lambda: eq.GradientAnnealing(beta=1.0), "`beta` must lie"),
    ],
    ids=["relax", "meta beta", "tau", "pcd beta", "annealing beta"],
)
def test_settings_outside_their_range_are_refused(make, message):
    with pytest.raises(SettingError, match=message):
        make()


def test_the_row_of_the_primary_task():
    tasks = Tasks(("a", "b", "c"), (1, 2))
    assert primary_row(tasks, None) is None
    assert primary_row(tasks, "c") == 1
    assert primary_row(tasks, "a") is None


@pytest.mark.parametrize("kind", FIRST)
def test_it_trains_a_model(kind):
    torch.manual_seed(0)
    trunk, heads = torch.nn.Linear(5, 4), torch.nn.ModuleList(torch.nn.Linear(4, 1) for _ in range(3))
    model = torch.nn.ModuleDict({"trunk": trunk, "heads": heads})
    x, y = torch.randn(32, 5), torch.randn(32, 3)
    balancer, optimizer = eq.Balancer(kind(), model=model), torch.optim.Adam(model.parameters(), 0.02)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        z = trunk(x).tanh()
        losses = {f"t{i}": (head(z)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(heads)}
        first = losses["t0"].item() if first is None else first
        balancer(losses).backward()
        optimizer.step()
    assert losses["t0"].item() < 0.9 * first
