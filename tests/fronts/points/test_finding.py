"""Points by preference against closed forms and SciPy; bounds that hold, and bounds that cannot."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import equipoise as eq
from equipoise.errors import LossError, PreferenceError, TaskError
from equipoise.fronts.indicators import ray_angles
from equipoise.problems import DTLZ2, Function, named


@pytest.mark.parametrize("name", ["quad", "expo", "zdt1", "zdt2", "f1", "f4"])
def test_rays_are_met_exactly(name):
    rays = [(0.1, 0.9), (0.5, 0.5), (0.8, 0.2)]
    found = eq.front.find_points(name, [eq.Ray(ray) for ray in rays], seed=1)
    assert found.statuses == ("ok",) * 3
    assert ray_angles(found.losses, rays).max() < 0.05
    front = named(name).front(20001)
    # no point of the front is lower on the same ray
    for point, ray in zip(found.losses, rays, strict=True):
        assert (point / ray).max() < (front / ray).max(axis=1).min() * (1 + 2e-3)


def test_a_ray_of_three_losses():
    found = eq.front.find_points(DTLZ2(), [eq.Ray({"f1": 1, "f3": 3, "f2": 2})])
    assert found.losses[0] == pytest.approx(np.array([1, 2, 3]) / np.sqrt(14), abs=1e-4)


def test_a_ray_beside_the_front_is_said_to_miss_it():
    short = Function(lambda x: torch.cat([x.square() + 1, (x - 1).square() + 1], 1), [-2.0], [2.0])
    found = eq.front.find_points(short, [eq.Ray((1, 10))], steps=200)  # the front ends at (1, 2)
    assert found.losses[0] == pytest.approx([1.0, 2.0], abs=1e-3)
    assert found.statuses == (
        "21 degrees off the ray: it may miss the front, of which this is the nearest point found",
    )


def test_weighted_sums_have_their_closed_form():
    found = eq.front.find_points("quad", [eq.LinearScalarization((0.3, 0.7)), eq.LinearScalarization()])
    assert found.losses == pytest.approx(np.array([[0.49, 0.09], [0.25, 0.25]]), abs=1e-4)


def test_tchebycheff_and_reference_points_level_their_distances():
    wishes = [
        eq.Tchebycheff(weights=(2, 1), ideal=(0.0, 0.0)),
        eq.ReferencePoint((0.2, 0.4)),
        eq.Tchebycheff(weights={"f2": 1, "f1": 3}, ideal=None),
    ]
    found = eq.front.find_points("expo", wishes)
    by = found.losses[1, 0] - 0.2  # the front is above (.2, .4): sqrt(-log .8) + sqrt(-log .6) = 1.19 < 2
    assert found.statuses == (
        "ok",
        f"no point found reaches the reference; at the nearest 'f1' is {found.losses[1, 0]:.6g}, {by:.3g} above its "
        f"0.2; 'f2' is {found.losses[1, 1]:.6g}, {found.losses[1, 1] - 0.4:.3g} above its 0.4",
        "ok",
    )
    assert by > 0.1
    assert found.losses[0, 0] * 2 == pytest.approx(found.losses[0, 1], abs=1e-4)
    apart = found.losses[1] - [0.2, 0.4]
    assert apart[0] == pytest.approx(apart[1], abs=1e-3)  # both losses have the same size here
    assert found.losses[2, 0] * 3 == pytest.approx(found.losses[2, 1], abs=1e-4)
    assert np.sqrt(-np.log1p(-found.losses)).sum(axis=1) == pytest.approx(2.0, abs=1e-3)  # all on the front


def test_utopia_and_augmentation_of_a_tchebycheff_criterion_count():
    """With u = sqrt(f1) the front of quad is (u^2, (1 - u)^2)."""
    wishes = [
        eq.Tchebycheff((1, 3), ideal=(0.2, 0.1), utopia=1.0),  # z = 0: u^2 = 3 (1 - u)^2
        eq.Tchebycheff((3, 1), ideal=(0.0, 0.0), augmented=3.0),  # below the kink: min 4 (1 - u)^2 + 9 u^2
        eq.Tchebycheff((3, 1), ideal=(0.0, 0.0)),  # at the kink: 3 u^2 = (1 - u)^2
    ]
    found = eq.front.find_points("quad", wishes, seed=2)
    u = np.array([np.sqrt(3) / (1 + np.sqrt(3)), 4 / 13, 1 / (1 + np.sqrt(3))])
    assert found.losses == pytest.approx(np.stack([u**2, (1 - u) ** 2], axis=1), abs=1e-3)
    front = named("quad").front(4001)
    for wish, point in zip(wishes, found.losses, strict=True):
        best = eq.front.choose(front, wish, tasks=["f1", "f2"])  # the same criterion, over a dense front
        assert point == pytest.approx(best.losses, abs=2e-3)


@pytest.mark.parametrize("name", ["quad", "expo", "zdt2", "f6"])
@pytest.mark.parametrize("limit", [0.1, 0.5, 0.9])
def test_bounds_hold_and_the_other_loss_is_as_low_as_it_goes(name, limit):
    found = eq.front.find_points(name, [eq.Bounds({"f1": limit}), eq.Bounds({"f2": limit})])
    front = named(name).front(20001)
    assert found.statuses == ("ok", "ok")
    assert (found.misses <= 0.01 * limit).all()
    assert found.losses[0, 1] == pytest.approx(front[front[:, 0] <= limit, 1].min(), abs=2e-3)
    assert found.losses[1, 0] == pytest.approx(front[front[:, 1] <= limit, 0].min(), abs=2e-3)


def test_bounds_agree_with_scipys_constrained_solver():
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    scales = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)

    def losses(points):
        return scales * (points[:, None] - centres).square().sum(2)

    problem = Function(losses, [-2.0, -2.0], [2.0, 2.0], tasks=("a", "b", "c"))
    bounds = eq.Bounds({"b": 3.0, "a": 1.5}, minimise="c")
    found = eq.front.find_points(problem, [bounds])
    wanted = minimize(
        lambda x: problem.losses(x)[2],
        [0.0, 0.0],
        jac=lambda x: problem.jacobians(x)[2],
        constraints=[
            {"type": "ineq", "fun": lambda x: 3.0 - problem.losses(x)[1], "jac": lambda x: -problem.jacobians(x)[1]},
            {"type": "ineq", "fun": lambda x: 1.5 - problem.losses(x)[0], "jac": lambda x: -problem.jacobians(x)[0]},
        ],
        method="SLSQP",
    )
    assert wanted.success
    assert found.statuses == ("ok",)
    assert found.parameters[0] == pytest.approx(wanted.x, abs=2e-2)
    assert found.losses[0, 2] == pytest.approx(wanted.fun, rel=1e-2)


def test_bounds_that_nothing_meets_say_by_how_much_and_which_task():
    found = eq.front.find_points("quad", [eq.Bounds({"f1": 0.1, "f2": 0.1})], steps=500)
    assert found.statuses[0].startswith("infeasible: no point found meets all limits; 'f1' is 0.2")
    assert "'f2' is 0.2" in found.statuses[0]
    # the nearest point misses both by as much
    assert found.misses[0] == pytest.approx(0.15, abs=0.01)
    easy = eq.front.find_points("quad", [eq.Bounds({"f1": 0.3, "f2": 0.3})], steps=500)
    assert easy.statuses == ("ok",)


def test_parameters_give_the_losses():
    found = eq.front.find_points("zdt1", [eq.Ray((1, 1)), eq.Bounds({"f1": 0.2})], steps=200)
    assert np.abs(named("zdt1").losses(found.parameters) - found.losses).max() <= 1e-12


def test_negative_losses_are_refused_where_a_ray_is_asked_for():
    sunk = Function(lambda x: torch.cat([x.square() - 1, (x - 1).square()], 1), [-1.0], [1.0], tasks=("low", "high"))
    with pytest.raises(LossError, match="needs losses of at least 0; those of 'low' fall to -"):
        eq.front.find_points(sunk, [eq.Ray((1, 1))], steps=100)
    found = eq.front.find_points(sunk, [eq.ReferencePoint((-0.5, 0.5))], steps=300)
    assert found.statuses == ("ok",)


@pytest.mark.parametrize(
    ("wishes", "error", "message"),
    [
        ([], PreferenceError, "at least one"),
        ([(0.5, 0.5)], PreferenceError, "must be LinearScalarization, Tchebycheff"),
        ([eq.Ray((1, 2, 3))], TaskError, "one number for each of the 2 tasks"),
        ([eq.Bounds({"f3": 1.0})], TaskError, "`Bounds` names 'f3'; the tasks are 'f1', 'f2'"),
        ([eq.Bounds({"f1": 1.0}, minimise="g")], TaskError, "`Bounds` names 'g'"),
    ],
    ids=["none", "bare numbers", "length", "task", "minimise"],
)
def test_preferences_that_do_not_fit_are_refused(wishes, error, message):
    with pytest.raises(error, match=message):
        eq.front.find_points("quad", wishes)
