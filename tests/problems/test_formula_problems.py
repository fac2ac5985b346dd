"""Formula problems: fronts against closed forms, losses on the Pareto sets, gradients, the best few points."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from equipoise.errors import SettingError
from equipoise.fronts.indicators import best_value, hypervolume, nonuniformity
from equipoise.problems import DTLZ1, DTLZ2, DTLZ5, DTLZ7, VLMOP3, Curved, Function, MaF1, named, table

VOLUMES = {  # below (1.1, 1.1), by integration
    "quad": 1.21 - 1 / 6,
    "expo": 0.552113,
    "zdt1": 1.21 - 1 / 3,
    "zdt2": 1.21 - 2 / 3,
    "zdt3": 1.331762,
    "zdt4": 1.21 - 1 / 3,
    "zdt6": 0.507876,
}
BEST_TEN = {"quad": 1.00892, "expo": 0.50559, "zdt1": 0.82745, "zdt2": 0.49682, "zdt3": 1.30396, "zdt6": 0.47292}


@pytest.mark.parametrize("name", VOLUMES)
def test_the_front_has_the_volume_of_its_formula(name):
    problem = named(name)
    assert hypervolume(problem.front(20001), problem.reference) == pytest.approx(VOLUMES[name], abs=6e-5)


@pytest.mark.parametrize("name", BEST_TEN)
def test_the_best_ten_points(name):
    problem = named(name)
    assert best_value(problem.front(1501), problem.reference, 10) == pytest.approx(BEST_TEN[name], abs=1e-5)


def test_fronts_of_three_losses_lie_on_their_surfaces():
    sphere, simplex, inverted = (problem.front(4096) for problem in (DTLZ2(), DTLZ1(), MaF1()))
    assert np.linalg.norm(sphere, axis=1) == pytest.approx(1.0)
    assert simplex.sum(axis=1) == pytest.approx(0.5)
    assert inverted.sum(axis=1) == pytest.approx(2.0)
    assert hypervolume(sphere, [1.1] * 3) == pytest.approx(1.331 - np.pi / 6, abs=0.03)  # the sample has gaps of 1/64
    assert hypervolume(sphere, [1.1] * 3) < 1.331 - np.pi / 6
    assert hypervolume(inverted, [1.1] * 3) == pytest.approx(0.001 + 0.03 + 0.15 + 1 / 6, abs=0.03)


@pytest.mark.parametrize("name", ["dtlz3", "dtlz4"])
def test_dtlz3_and_dtlz4_have_the_sphere_behind_other_distances_and_densities(name):
    problem = named(name)
    points = np.random.default_rng(3).random((50, problem.parameters))
    points[:, 2:] = 0.5
    assert np.linalg.norm(problem.losses(points), axis=1) == pytest.approx(1.0)
    points[:, 2:] = 0.51  # next to a valley of the cosine, and not
    assert np.linalg.norm(problem.losses(points), axis=1) == pytest.approx(
        1 + (100 * 10 * (1 + 1e-4 - np.cos(0.2 * np.pi)) if name == "dtlz3" else 1e-3)
    )


@pytest.mark.parametrize(("name", "others"), [("dtlz5", 0.5), ("dtlz6", 0.0), ("dtlz7", 0.0)])
def test_the_parameters_of_the_front_give_the_front(name, others):
    problem = named(name)
    draw = np.random.default_rng(3).random((100, problem.parameters))
    draw[:, 2:] = others
    losses, front = problem.losses(draw), problem.front(4001)
    if name == "dtlz7":  # a place in the gap is dominated
        losses = losses[((losses[:, :2] < 0.2514) | ((losses[:, :2] > 0.6317) & (losses[:, :2] < 0.8594))).all(axis=1)]
    nearest = np.linalg.norm(losses[:, None] - front[None], axis=2).min(axis=1)
    assert len(losses) > 20
    assert nearest.max() < (0.05 if name == "dtlz7" else 1e-3)  # a curve is sampled densely, a surface less


def test_volumes_of_a_curve_and_of_pieces():
    curve = DTLZ5()
    expected = 1.21 - 2.2 / np.sqrt(2) * np.pi / 4 + 1 / 3 + 0.121  # slices of (1.1 - cos t / sqrt 2)^2 along f3
    assert hypervolume(curve.front(5001), curve.reference) == pytest.approx(expected, abs=1e-3)
    pieces = DTLZ7(k=2)
    everywhere = np.zeros((20001, pieces.parameters))
    everywhere[:, 0] = np.linspace(0, 1, 20001)
    dense = hypervolume(pieces.losses(everywhere), pieces.reference)
    assert hypervolume(pieces.front(20001), pieces.reference) == pytest.approx(dense, abs=1e-4)


def test_no_local_search_improves_points_of_the_front_of_vlmop3_by_more_than_its_grid():
    problem = VLMOP3()
    axis = np.linspace(-3, 3, 601)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    losses = problem.losses(grid)
    front = problem.front(3)
    ranges = np.ptp(problem.front(10**6), axis=0)
    for point in front:
        start = grid[np.abs(losses - point).max(axis=1).argmin()]

        def above(x, point=point):
            return float(((problem.losses(x) - point) / ranges).max())

        assert minimize(above, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).fun > -1e-3


def test_above_three_losses_no_front_of_dtlz5_is_known():
    with pytest.raises(SettingError, match="`k` of DTLZ5 must be 2 or 3"):
        DTLZ5(k=4)


@pytest.mark.parametrize("name", table)
def test_jacobians_are_the_slopes_of_the_losses(name):
    problem = named(name)
    draw = np.random.default_rng(0)
    lower, upper = problem.lower, problem.upper
    points = lower + (0.1 + 0.8 * draw.random((3, problem.parameters))) * (upper - lower)
    step = 1e-6
    moved = np.eye(problem.parameters)[:, None] * step
    slopes = (problem.losses(points + moved) - problem.losses(points - moved)) / (2 * step)
    found = problem.jacobians(points)
    assert found == pytest.approx(np.moveaxis(slopes, 0, 2), rel=1e-4, abs=1e-5 * np.abs(found).max())


@pytest.mark.parametrize("name", table)
def test_gradients_are_finite_at_the_corners_of_the_box(name):
    problem = named(name)
    corners = np.stack([problem.lower, problem.upper])
    assert np.isfinite(problem.jacobians(corners)).all()
    assert np.isfinite(problem.losses(corners)).all()


@pytest.mark.parametrize("name", table)
def test_no_point_is_below_the_front(name):
    problem = named(name)
    draw = np.random.default_rng(1)
    near = 0.5 if "dtlz" in name or name == "maf1" else 0.0
    spread = draw.random((2000, problem.parameters)) ** 8 if near == 0 else near + 0.01 * draw.normal(size=(2000, 1))
    points = problem.lower + np.clip(spread, 0, 1) * np.ones(problem.parameters) * (problem.upper - problem.lower)
    losses, front = problem.losses(points), problem.front(3001)
    assert not (losses[:, None] < front[None] - 2e-3).all(axis=2).any()


@pytest.mark.parametrize("number", range(1, 7))
def test_curved_pareto_sets_give_the_front(number):
    problem = Curved(number)
    first = np.linspace(0.01, 1, 7)[:, None]
    i = np.arange(2, 7)
    kind = (number - 1) % 3
    if kind == 0:
        others = (2 * first - 1) ** 2 + 0 * i
    elif kind == 1:
        others = first ** (0.5 * (1 + 3 * (i - 2) / 4))
    else:
        others = (1 + 0.8 * first * np.cos(np.abs(np.sin(4 * np.pi * first + i * np.pi / 6)))) / 2
    losses = problem.losses(np.concatenate([first, others], axis=1))
    wanted = 1 - (np.sqrt(first) if number <= 3 else first**2)
    assert losses == pytest.approx(np.concatenate([first, wanted], axis=1))


def test_quad_and_expo_take_the_distances_from_two_corners():
    draw = np.random.default_rng(2).normal(size=(4, 10))
    corner = np.full(10, 1 / np.sqrt(10))
    apart = np.stack([((draw - corner) ** 2).sum(axis=1), ((draw + corner) ** 2).sum(axis=1)], axis=1)
    assert named("quad").losses(draw) == pytest.approx(apart / 4)
    assert named("expo").losses(draw) == pytest.approx(1 - np.exp(-apart))


def test_names_and_sizes_are_checked():
    with pytest.raises(SettingError, match="no formula problem 'zdt9'; there are 'quad', 'expo'"):
        named("zdt9")
    with pytest.raises(SettingError, match="`n` must be a whole number of at least 3; got 2"):
        Curved(1, n=2)
    with pytest.raises(SettingError, match="30 coordinates on the last axis; got shape"):
        named("zdt1").losses([0.5] * 29)


@pytest.mark.parametrize(
    ("function", "lower", "message"),
    [
        pytest.param(lambda x: x.sum(1), [0.0], r"losses \(2, k\), float64", id="one loss"),
        pytest.param(lambda x: x.float(), [0.0], "float64", id="float32"),
        pytest.param(lambda x: x.detach(), [0.0], "differentiable", id="detached"),
        pytest.param(lambda x: x, [2.0], "each lower end below its upper end", id="empty box"),
    ],
)
def test_a_function_that_is_no_problem_is_refused(function, lower, message):
    with pytest.raises(SettingError, match=message):
        Function(function, lower, [1.0])


def test_a_function_keeps_names_and_reference():
    bowls = Function(
        lambda x: torch.stack([x.square().sum(1), (x - 1).square().sum(1)], 1),
        [-1.0, -1.0],
        [2.0, 2.0],
        tasks=("depth", "normals"),
        reference=[3.0, 3.0],
    )
    assert bowls.tasks == ("depth", "normals")
    assert bowls.reference.tolist() == [3.0, 3.0]
    assert bowls.jacobians([[1.0, 0.0]]).tolist() == [[[2.0, 0.0], [0.0, -2.0]]]
    assert nonuniformity(bowls.losses([[0.5, 0.5]]), [[1.0, 1.0]]).tolist() == [0.0]
