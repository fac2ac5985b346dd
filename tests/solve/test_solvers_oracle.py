"""The k x k solvers against 50-digit arithmetic, a general convex solver, and enumeration."""

import itertools

import cvxpy as cp
import mpmath as mp
import numpy as np
import pytest

from equipoise.laws import families
from equipoise.solve.alpha_fair import alpha_fair_weights
from equipoise.solve.descent_in_ball import descent_in_ball
from equipoise.solve.dual_cone import project_on_dual_cone
from equipoise.solve.equal_projection import equal_projection
from equipoise.solve.equilibrate import equilibrate
from equipoise.solve.min_norm import min_norm_point
from equipoise.solve.regularized_min_norm import pulled_min_norm

UNIQUE = ("well", "ill", "conflicting", "nearly opposite", "imbalanced")
SIZES = (2, 3, 5, 8)
TINY = mp.mpf(10) ** -30


def gramians(k, seed):
    """Float64 Gramians of the families with one solution and a condition number of the unit rows up to 1e4."""
    for case in families(k, seed=seed, scales=(1e-8, 1e8)):
        if case.name.split(",")[0] in UNIQUE:
            gramian = case.jacobian @ case.jacobian.T
            gramian = (gramian + gramian.T) / 2
            if np.linalg.cond(equilibrate(gramian)[0]) <= 1e8:
                yield case.name, gramian


def exactly(array):
    return mp.matrix(np.atleast_2d(array).T.tolist()) if np.ndim(array) == 1 else mp.matrix(array.tolist())


def on_support(gramian, support, right):
    block = mp.matrix(len(support), len(support))
    for i, a in enumerate(support):
        for j, b in enumerate(support):
            block[i, j] = gramian[a, b]
    return mp.lu_solve(block, mp.matrix([right[i] for i in support]))


def spread(values, support, k):
    full = mp.matrix(k, 1)
    for value, i in zip(values, support, strict=True):
        full[i] = value
    return full


def error(gramian, found, wanted):
    """|J^T (found - wanted)| / |J^T wanted| in 50 digits."""
    difference = exactly(found) - wanted
    return float(mp.sqrt(abs((difference.T * gramian * difference)[0]) / (wanted.T * gramian * wanted)[0]))


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def certified_min_norm(gramian, weights):
    """The exact point on the support that was found, and the conditions that make it the optimum."""
    k = len(weights)
    support = [i for i in range(k) if weights[i] > 0]
    values = on_support(gramian, support, [mp.mpf(1)] * k)
    point = spread(values, support, k) / sum(values)
    height = (point.T * gramian * point)[0]
    products = gramian * point
    assert all(value >= 0 for value in values)
    assert all(products[i] >= height * (1 - TINY) for i in range(k))
    return point


def certified_projection(gramian, target, weights):
    k = len(weights)
    support = [i for i in range(k) if weights[i] > float(target[i])]
    point = target.copy()
    if support:
        values = on_support(gramian, support, -(gramian * target))
        assert all(value >= 0 for value in values)
        point += spread(values, support, k)
    products = gramian * point
    assert all(products[i] >= -TINY * gramian[i, i] for i in range(k))
    return point


def certified_descent(gramian, c, weights):
    k = len(weights)
    mean = mp.matrix([mp.mpf(1) / k] * k)
    slopes = gramian * mean
    support = [i for i in range(k) if weights[i] > 1 / k]
    ones, tilt = on_support(gramian, support, [mp.mpf(1)] * k), on_support(gramian, support, slopes)
    a, b = sum(ones), sum(tilt)
    rest = sum(tilt[j] * slopes[i] for j, i in enumerate(support)) - mp.mpf(c) ** 2 * (mean.T * slopes)[0]
    level = (b + mp.sqrt(b * b - a * rest)) / a
    values = level * ones - tilt
    point = mean + spread(values, support, k)
    products = gramian * point
    assert all(value >= 0 for value in values)
    assert all(products[i] >= level - TINY * abs(level) for i in range(k))
    return point


def certified_pull(gramian, pull, weights):
    k = len(weights)
    slopes = gramian * mp.matrix([mp.mpf(pull) / k] * k)
    support = [i for i in range(k) if weights[i] > 0]
    ones, tilt = on_support(gramian, support, [mp.mpf(1)] * k), on_support(gramian, support, slopes)
    level = (1 + sum(tilt)) / sum(ones)
    values = level * ones - tilt
    point = spread(values, support, k)
    products = gramian * point + slopes
    assert all(value >= 0 for value in values)
    assert all(products[i] >= level - TINY * abs(level) for i in range(k))
    return point + mp.matrix([mp.mpf(pull) / k] * k)


def certified_fair(gramian, alpha, weights):
    """Newton's method on the equation itself, from the answer, until 30 digits agree."""
    k, power, point = len(weights), 1 / mp.mpf(alpha), exactly(weights)
    for _ in range(7):
        products = gramian * point
        residual = mp.matrix([products[i] * point[i] ** power - 1 for i in range(k)])
        slope = mp.matrix(k, k)
        for i in range(k):
            for j in range(k):
                slope[i, j] = gramian[i, j] * point[i] ** power
            slope[i, i] += products[i] * power * point[i] ** (power - 1)
        point -= mp.lu_solve(slope, residual)
    products = gramian * point
    assert all(point[i] > 0 and abs(products[i] * point[i] ** power - 1) < TINY for i in range(k))
    return point


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_direction_agrees_with_a_certified_fifty_digit_solution_to_1e_8(k, seed):
    seen = 0
    for name, gramian in gramians(k, seed):
        exact = exactly(gramian)
        mean = np.full(k, 1 / k)
        pairs = {"min-norm": (min_norm_point(gramian).value, lambda a, g=exact: certified_min_norm(g, a))}
        for row, label in ((mean, "mean"), (np.eye(k)[0], "first gradient")):
            found = project_on_dual_cone(gramian, row[None, :]).value
            pairs[f"cone, {label}"] = (found, lambda a, g=exact, r=row: certified_projection(g, exactly(r), a))
        for c in (0.1, 0.4, 0.9, 1.5):
            found = descent_in_ball(gramian, c).value
            pairs[f"ball, c={c}"] = (found, lambda a, g=exact, c=c: certified_descent(g, c, a))
        for pull in (0.3, 3.0):
            found = pulled_min_norm(gramian, pull).value + pull / k
            pairs[f"pull {pull}"] = (found, lambda a, g=exact, p=pull, k=k: certified_pull(g, p, a - p / k))
        for alpha in (0.5, 1.0, 2.0):
            found = alpha_fair_weights(gramian, alpha).value
            pairs[f"alpha {alpha}"] = (found, lambda a, g=exact, p=alpha: certified_fair(g, p, a))
        for label, (found, certify) in pairs.items():
            seen += 1
            assert error(exact, found, certify(found)) <= 1e-8, (name, label)
    assert seen >= 60


@pytest.mark.parametrize("k", SIZES)
def test_equal_projections_agree_with_a_fifty_digit_solution_to_1e_8(k):
    for name, gramian in gramians(k, 0):
        cosines, _ = equilibrate(gramian)
        exact = exactly(cosines)
        wanted = mp.lu_solve(exact, mp.matrix([1] * k))
        assert error(exact, equal_projection(cosines).value, wanted) <= 1e-8, name


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e4, 1e6])
def test_the_scale_of_the_gramian_changes_no_direction_by_more_than_1e_8(scale):
    for name, gramian in gramians(5, 2):
        exact = exactly(gramian)
        solvers = {
            "min-norm": lambda g: min_norm_point(g).value,
            "cone": lambda g: project_on_dual_cone(g, np.eye(5)).value,
            "ball": lambda g: descent_in_ball(g, 0.4).value,
            "pull": lambda g: pulled_min_norm(g, 0.3).value + 0.06,
            "alpha": lambda g: alpha_fair_weights(g, 2.0).value,
        }
        for label, solve in solvers.items():
            unit = scale ** (2 / 1.5) if label == "alpha" else 1.0  # these weights scale as c^(-2/(1 + 1/alpha))
            assert error(exact, unit * solve(scale**2 * gramian), exactly(solve(gramian))) <= 1e-8, (name, label)


def convex(objective, constraints):
    cp.Problem(objective, constraints).solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)


def draws(count, k, n=12):
    draw = np.random.default_rng(k)
    for _ in range(count):
        rows = draw.normal(size=(k, n)) - 0.6 * draw.normal(size=n) * draw.choice([-1, 1], size=(k, 1))
        yield rows * np.exp(draw.normal(size=(k, 1)))


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("k", [2, 4, 7])
def test_directions_agree_with_a_general_convex_solver_on_the_problems_as_published(k):
    for rows in draws(6, k):
        gramian, mean = rows @ rows.T, rows.mean(axis=0)
        size = np.linalg.norm(mean)
        weights, direction = cp.Variable(k, nonneg=True), cp.Variable(rows.shape[1])

        convex(cp.Minimize(cp.sum_squares(rows.T @ weights)), [cp.sum(weights) == 1])
        assert np.allclose(min_norm_point(gramian).value @ rows, weights.value @ rows, atol=1e-5 * size)

        convex(cp.Minimize(cp.sum_squares(direction - mean)), [rows @ direction >= 0])
        found = project_on_dual_cone(gramian, np.full((1, k), 1 / k)).value @ rows
        assert np.allclose(found, direction.value, atol=1e-5 * size)

        convex(cp.Maximize(cp.min(rows @ direction)), [cp.norm(direction - mean) <= 0.5 * size])
        assert np.allclose(descent_in_ball(gramian, 0.5).value @ rows, direction.value, atol=1e-4 * size)

        convex(cp.Minimize(cp.sum_squares(rows.T @ weights + 0.3 * mean)), [cp.sum(weights) == 1])
        assert np.allclose(pulled_min_norm(gramian, 0.3).value @ rows, weights.value @ rows, atol=1e-5 * size)

        # the Nash direction maximises the sum of log descents on a sphere; on the ball the problem is convex
        nash = alpha_fair_weights(gramian)
        if nash.status.ok:
            convex(cp.Maximize(cp.sum(cp.log(rows @ direction))), [cp.norm(direction) <= 1])
            assert np.allclose(nash.value @ rows / np.sqrt(k), direction.value, atol=1e-4)


def test_min_norm_agrees_with_the_enumeration_of_all_faces_for_three_tasks():
    for rows in draws(40, 3):
        best = np.inf
        for size in (1, 2, 3):
            for face in itertools.combinations(range(3), size):
                block = (rows @ rows.T)[np.ix_(face, face)]
                values = np.linalg.solve(block, np.ones(size))
                if (values >= 0).all():
                    best = min(best, np.linalg.norm(values / values.sum() @ rows[list(face)]))
        assert np.linalg.norm(min_norm_point(rows @ rows.T).value @ rows) == pytest.approx(best, rel=1e-10)


def test_descent_in_the_ball_of_two_tasks_agrees_with_a_fine_scan_of_the_dual():
    shares = np.linspace(0, 1, 200_001)
    for rows in draws(10, 2):
        mean = rows.mean(axis=0)
        radius = 0.7 * np.linalg.norm(mean)
        points = shares[:, None] * rows[0] + (1 - shares[:, None]) * rows[1]
        dual = (points @ mean + radius * np.linalg.norm(points, axis=1)).min()
        direction = descent_in_ball(rows @ rows.T, 0.7).value @ rows
        assert np.linalg.norm(direction - mean) == pytest.approx(radius, rel=1e-12)
        assert (rows @ direction).min() == pytest.approx(dual, rel=1e-8)


def test_the_cone_projection_of_three_tasks_agrees_with_the_enumeration_of_all_faces():
    for rows in draws(40, 3):
        point, nearest = rows.mean(axis=0), None
        for size in (0, 1, 2, 3):
            for face in itertools.combinations(range(3), size):
                chosen = rows[list(face)]
                candidate = point - (np.linalg.pinv(chosen) @ (chosen @ point) if size else 0.0)
                inside = (rows @ candidate >= -1e-12).all()
                if inside and (nearest is None or np.linalg.norm(candidate - point) < np.linalg.norm(nearest - point)):
                    nearest = candidate
        found = project_on_dual_cone(rows @ rows.T, np.full((1, 3), 1 / 3)).value @ rows
        assert np.allclose(found, nearest, atol=1e-10)
