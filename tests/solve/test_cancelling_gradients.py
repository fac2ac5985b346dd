"""Gradients that cancel but for a part of 1e-1 to 1e-16: answers of 60 digits, and what each method promises."""

from itertools import combinations

import mpmath as mp
import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.laws import cancelling, laws
from equipoise.laws.cases import Case
from equipoise.methods.base import Step
from equipoise.methods.run import run_gramian_method, run_method
from equipoise.solve import Status

KEPT = 1e-6  # relative to the longest gradient
SIZES = [10.0**-power for power in range(1, 17)]
METHODS = [
    eq.CAGrad(c=0.4, rescale=None),
    eq.CAGrad(c=1.0, rescale=None),
    eq.DualProj(),
    eq.UPGrad(),
    eq.MGDA(),
    eq.MGDA(normalize="l2"),
    eq.SDMGrad(),
    eq.NashMTL(),
    eq.FairGrad(alpha=2.0),
    eq.IMTLG(),
    eq.ConFIG("largest"),
    eq.AlignedMTL(),
]


def taken(method, rows, by_products=False):
    k, jacobian = len(rows), torch.from_numpy(np.ascontiguousarray(rows))
    step = Step(Tasks(tuple(f"task{i}" for i in range(k))), torch.ones(k, dtype=torch.float64))
    if not by_products:
        return run_method(method, jacobian, method.init(*rows.shape), step)
    weighed = run_gramian_method(method, jacobian @ jacobian.T, method.init(k), step)
    return weighed, weighed.weights.numpy() @ rows


def lengths(rows):
    return np.sqrt((rows * rows).sum(axis=-1))


def misses(method, rows, direction, weights, status):
    """By how much each promise is broken, relative to the longest gradient, in long double."""
    rows, direction = rows.astype(np.longdouble), direction.astype(np.longdouble)
    norms, mean = lengths(rows), rows.mean(axis=0)
    largest, length, slopes = norms.max(), lengths(direction), rows @ direction / norms
    found = {}
    match method:
        case eq.CAGrad(c=c):
            found["ball"] = (lengths(direction - mean) - c * lengths(mean)) / largest
            found["cone"] = -slopes.min() / largest if c >= 1 else 0.0
        case eq.DualProj():
            found["cone"], found["length"] = -slopes.min() / largest, (length - lengths(mean)) / largest
        case eq.UPGrad():
            found["cone"], found["length"] = -slopes.min() / largest, (length - norms.mean()) / largest
        case eq.MGDA(normalize="none"):
            found["length"] = (length - norms.min()) / largest
            found["descent"] = (length**2 - (rows @ direction).min()) / largest**2
        case eq.NashMTL():
            found["length"] = length - 1 if status.ok else length
        case eq.FairGrad() if status.ok:
            wanted = weights.astype(np.longdouble) ** (-1 / method.alpha) / norms
            found["equation"] = np.abs(slopes - wanted).max() / length
        case eq.ConFIG():
            found["length"] = (length - largest) / largest
            found["equal"] = np.ptp(slopes) / length if status is Status.SOLVED else 0.0
        case eq.IMTLG():
            found["equal"] = np.ptp(slopes) / length if status is Status.SOLVED else 0.0
            found["sum"] = abs(weights.sum() - 1) / np.abs(weights).sum() if weights.any() else 0.0
        case eq.AlignedMTL():
            found["length"] = (length - lengths(mean)) / largest
    if "simplex" in method.claims(len(rows)):
        found["simplex"] = max(-weights.min(), abs(weights.sum() - 1))
    return found


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_promise_is_kept_however_far_the_gradients_cancel(method):
    draw, broken = np.random.default_rng(11), []
    for size in SIZES:
        for k in (3, 6, 10):
            rows = cancelling(k, size, draw)[:, : int(draw.integers(2, 13))].copy()
            order = draw.permutation(k)
            one, other = taken(method, rows), taken(method, rows[order])
            direction = one.direction.numpy()
            found = misses(method, rows, direction, one.weights.numpy(), one.status)
            scale = max(lengths(rows).max(), lengths(direction))
            found["order"] = lengths(other.direction.numpy() - direction) / scale
            broken += [(size, k, name, float(miss)) for name, miss in found.items() if not miss <= KEPT]
    assert not broken


@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, eq.FairGrad | eq.IMTLG)], ids=repr)
def test_a_gramian_alone_is_enough_for_balls_cones_lengths_and_the_simplex(method):
    draw, broken = np.random.default_rng(12), []
    for size in SIZES:
        for k in (3, 6, 10):
            rows = cancelling(k, size, draw)[:, : int(draw.integers(2, 13))].copy()
            weighed, direction = taken(method, rows, by_products=True)
            found = misses(method, rows, direction, weighed.weights.numpy(), weighed.status)
            broken += [(size, k, name, float(miss)) for name, miss in found.items() if not miss <= KEPT]
    assert not broken


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_the_laws_hold_at_every_size_of_what_is_left(method):
    draw = np.random.default_rng(13)
    for size in SIZES:
        k = int(draw.integers(3, 11))
        case = Case(f"cancelling to {size:g}, k={k}", cancelling(k, size, draw), draw.uniform(0.5, 2.0, size=k))
        for name in method.claims(k):
            laws[name].check(method, case)


def projected(rows, point):
    """The projection of `point` on the dual cone of `rows`, by every support, in 60 digits."""
    k = len(rows)
    products = [[mp.fdot(one, other) for other in rows] for one in rows]
    slopes = [mp.fdot(row, point) for row in rows]
    for some in range(k + 1):
        for support in combinations(range(k), some):
            pulls = [mp.mpf(0)] * k
            if support:
                block = mp.matrix([[products[i][j] for j in support] for i in support])
                if abs(mp.det(block)) < mp.mpf(10) ** -50:
                    continue
                solved = mp.lu_solve(block, mp.matrix([-slopes[i] for i in support]))
                for place, i in enumerate(support):
                    pulls[i] = solved[place]
            least = min(slopes[i] + mp.fdot(products[i], pulls) for i in range(k))
            if min(pulls) >= 0 and least >= -(mp.mpf(10) ** -45):
                return [x + mp.fdot(pulls, [row[n] for row in rows]) for n, x in enumerate(point)]
    raise AssertionError("no support satisfies the conditions")


NEARLY_OPPOSITE = [
    lambda e: [[1.0, 2.0, 0.0], [-1.0, -2.0, e], [3.0, -2.0, -0.3]],
    lambda e: [[1.0, 2.0, 0.0], [-2.0, -4.0, 100 * e], [-2.0, 3.0, -0.3]],
    lambda e: [[0.5, -1.0, 0.25], [-1.0, 2.0, -0.5 + e], [0.3, 0.1, -0.7]],
]


@pytest.mark.parametrize("make", NEARLY_OPPOSITE)
@pytest.mark.parametrize("e", [1e-2, 1e-4, 1e-5, 1e-6, 1e-7])
def test_projections_are_those_of_sixty_digits_while_float64_can_mix_their_weights(make, e):
    rows = np.array(make(e))
    with mp.workdps(60):
        exact = [[mp.mpf(float(x)) for x in row] for row in rows]
        mean = [mp.fsum(column) / 3 for column in zip(*exact, strict=True)]
        single = [projected(exact, row) for row in exact]
        wanted = {
            eq.DualProj(): [float(x) for x in projected(exact, mean)],
            eq.UPGrad(): [float(mp.fsum(column) / 3) for column in zip(*single, strict=True)],
        }
    for method, direction in wanted.items():
        np.testing.assert_allclose(taken(method, rows).direction, direction, atol=KEPT * lengths(rows).max())


def best_in_ball(rows, radius):
    """CAGrad's direction, by every set of tasks that descend least, in 60 digits."""
    k = len(rows)
    mean = [mp.fsum(column) / k for column in zip(*rows, strict=True)]
    reach = radius**2 * mp.fdot(mean, mean)
    slopes = [mp.fdot(row, mean) for row in rows]
    for some in range(1, k + 1):
        for support in combinations(range(k), some):
            block = mp.matrix([[mp.fdot(rows[i], rows[j]) for j in support] for i in support])
            if abs(mp.det(block)) < mp.mpf(10) ** -50:
                continue
            along = mp.lu_solve(block, mp.matrix([1] * some))
            back = mp.lu_solve(block, mp.matrix([slopes[i] for i in support]))
            # |level * along - back|^2 in this metric is the square of the radius
            bend, middle = mp.fsum(along), mp.fsum(back)
            rest = mp.fsum(x * slopes[i] for x, i in zip(back, support, strict=True)) - reach
            if middle**2 < bend * rest:
                continue
            level = (middle + mp.sqrt(middle**2 - bend * rest)) / bend
            pulls = [level * x - y for x, y in zip(along, back, strict=True)]
            moved = [mp.fsum(a * rows[i][n] for a, i in zip(pulls, support, strict=True)) for n in range(len(mean))]
            direction = [x + y for x, y in zip(mean, moved, strict=True)]
            least = min(mp.fdot(row, direction) for row in rows)
            if min(pulls) >= 0 and least >= level - mp.mpf(10) ** -40:
                return [float(x) for x in direction]
    raise AssertionError("no set satisfies the conditions")


@pytest.mark.parametrize("e", [1e-3, 1e-5, 1e-6, 1e-7])
def test_descent_in_a_ball_is_that_of_sixty_digits(e):
    rows = np.array([[1.0, 2.0, 0.0], [-0.5, -1.0, e], [0.2, 0.5, 0.2]])
    with mp.workdps(60):
        wanted = best_in_ball([[mp.mpf(float(x)) for x in row] for row in rows], mp.mpf("0.4"))
    found = taken(eq.CAGrad(c=0.4, rescale=None), rows)
    np.testing.assert_allclose(found.direction, wanted, atol=KEPT)


def test_on_one_line_the_order_of_the_tasks_does_not_matter_and_the_ball_holds():
    rows = np.array([[2.0], [-1.0], [3.0]])
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]):
        found = taken(eq.CAGrad(c=0.4, rescale=None), rows[order])
        # no direction lowers all three: the one nearest to the least descent of -1 ends where the ball does
        np.testing.assert_allclose(found.direction, [0.6 * 4 / 3], rtol=1e-12)
        assert found.status is Status.STATIONARY


def test_as_many_one_way_as_the_other_on_one_line_have_no_favoured_direction():
    line = np.array([0.3, -1.1, 0.7, 0.2])
    rows = np.outer([1.0, -2.0, 0.7, -0.6], line)
    draw = np.random.default_rng(0)
    for method in (eq.IMTLG(), *(eq.ConFIG(length) for length in ("mean", "smallest", "largest", "unit"))):
        for _ in range(6):
            found = taken(method, rows[draw.permutation(4)])
            assert not found.direction.any()
            assert found.status is Status.STATIONARY


def test_the_weights_of_the_min_norm_point_do_not_depend_on_the_order():
    draw = np.random.default_rng(0)
    for _ in range(60):
        k, n = int(draw.integers(3, 9)), int(draw.integers(1, 4))
        rows, order = draw.normal(size=(k, n)), draw.permutation(k)
        one = taken(eq.MGDA(), rows, by_products=True)[0].weights
        other = taken(eq.MGDA(), rows[order], by_products=True)[0].weights
        np.testing.assert_allclose(other, one[order], atol=1e-9)


def test_three_gradients_on_a_line_and_a_fourth_get_the_shortest_weights_that_vanish():
    rows = np.array([[1.0], [-2.0], [3.0], [-5.0]])
    found = taken(eq.MGDA(), rows, by_products=True)[0]
    # least norm of a with sum 1 and a . (1, -2, 3, -5) = 0: a = x + y g, all positive
    multipliers = np.linalg.solve([[4.0, -3.0], [-3.0, 39.0]], [1.0, 0.0])
    np.testing.assert_allclose(found.weights, multipliers[0] + multipliers[1] * rows[:, 0], atol=1e-12)
    assert found.status is Status.STATIONARY


def nearly_opposite_pairs(draw):
    k, n, size = int(draw.integers(3, 11)), int(draw.integers(2, 9)), 10.0 ** -draw.uniform(6.5, 8.5)
    rows = draw.normal(size=(k, n))
    rows[1:k:2] = -draw.uniform(0.3, 3, size=(k // 2, 1)) * rows[0 : k - 1 : 2] + size * draw.normal(size=(k // 2, n))
    return rows[draw.permutation(k)]


def nearly_on_a_line(draw):
    k, n, size = int(draw.integers(3, 11)), int(draw.integers(2, 9)), 10.0 ** -draw.uniform(6.5, 8.5)
    return draw.normal(size=(k, 1)) * draw.normal(size=n) + size * draw.normal(size=(k, n))


@pytest.mark.parametrize(
    ("method", "make", "seeds"),
    [
        (eq.DualProj(), nearly_opposite_pairs, (0, 73, 89, 129, 252)),
        (eq.UPGrad(), nearly_opposite_pairs, (0, 16, 103, 129, 386)),
        (eq.MGDA(normalize="l2"), nearly_on_a_line, (35, 57, 68, 97, 125)),
    ],
    ids=["DualProj", "UPGrad", "MGDA"],
)
def test_the_order_of_tasks_decides_nothing_where_gradients_cancel_to_the_last_digits_that_count(method, make, seeds):
    """Inputs on which the support that was found, and with it the order, once chose between two answers."""
    for seed in seeds:
        rows = make(np.random.default_rng(seed))
        one = taken(method, rows).direction.numpy()
        scale = max(lengths(rows).max(), lengths(one))
        for order in (np.arange(len(rows))[::-1], np.roll(np.arange(len(rows)), 1)):
            other = taken(method, rows[order]).direction.numpy()
            assert lengths(other - one) <= KEPT * scale, seed
