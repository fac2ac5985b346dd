"""Indicators against their definitions, written out, and the choice of a subset against all subsets."""

from itertools import combinations

import numpy as np
import pytest

from equipoise.errors import DataError, SettingError
from equipoise.fronts import indicators as measure
from equipoise.problems import ZDT1

DRAW = np.random.default_rng(0)
POINTS, FRONT = DRAW.random((12, 3)), DRAW.random((40, 3))
APART = np.linalg.norm(FRONT[:, None] - POINTS[None], axis=2)


def test_distances_from_a_front_are_those_of_their_formulas():
    assert measure.igd(POINTS, FRONT) == pytest.approx(APART.min(axis=1).mean())
    worse = np.linalg.norm(np.maximum(POINTS[None] - FRONT[:, None], 0), axis=2)
    assert measure.igd_plus(POINTS, FRONT) == pytest.approx(worse.min(axis=1).mean())
    assert measure.generational_distance(POINTS, FRONT) == pytest.approx(APART.min(axis=0).mean())
    both = max(APART.min(axis=1).mean(), APART.min(axis=0).mean())
    assert measure.hausdorff_distance(POINTS, FRONT) == pytest.approx(both)
    epsilon = (POINTS[None] - FRONT[:, None]).max(axis=2).min(axis=1).max()
    assert measure.additive_epsilon(POINTS, FRONT) == pytest.approx(epsilon)
    assert measure.fill_distance(POINTS, FRONT) == pytest.approx(APART.min(axis=1).max())


def test_a_set_that_dominates_the_front_has_no_igd_plus():
    front = ZDT1().front(101)
    assert measure.igd_plus(front - 1.0, front) == 0.0
    assert measure.igd(front - 1.0, front) > 0.5


def test_the_exact_volume_is_that_of_samples():
    found = measure.sampled_hypervolume(POINTS, [1.0] * 3, samples=200_000)
    assert found.value == pytest.approx(measure.hypervolume(POINTS, [1.0] * 3), abs=4 * found.error)
    assert 0 < found.error < 2e-3
    assert measure.hypervolume(POINTS, [-1.0] * 3) == 0.0
    assert measure.hypervolume([[0.2], [0.5]], [1.0]) == pytest.approx(0.8)
    many = measure.sampled_hypervolume(np.full((1, 40), 0.5), np.ones(40))
    assert many.value == pytest.approx(0.5**40)
    with pytest.raises(SettingError, match="sampled_hypervolume"):
        measure.hypervolume(np.zeros((1, 40)), np.ones(40))


def test_contributions_are_what_a_point_adds():
    found = measure.hypervolume_contributions(POINTS, [1.0] * 3)
    whole = measure.hypervolume(POINTS, [1.0] * 3)
    for i in range(len(POINTS)):
        assert whole - found[i] == pytest.approx(measure.hypervolume(np.delete(POINTS, i, axis=0), [1.0] * 3))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_the_best_subset_is_the_best_of_all(k, size):
    points, reference = np.random.default_rng(k).random((14, k)), np.ones(k)
    best = max(measure.hypervolume(points[list(rows)], reference) for rows in combinations(range(len(points)), size))
    chosen = measure.best_subset(points, reference, size)
    assert len(chosen) <= size
    assert measure.hypervolume(points[chosen], reference) == pytest.approx(best)


def test_a_subset_of_few_is_all_that_counts():
    assert measure.best_subset([[0.0, 1.0], [0.5, 0.5], [0.6, 0.6], [0.5, 0.5]], [1.0, 1.0], 3).tolist() == [1]
    assert measure.best_subset([[2.0, 2.0]], [1.0, 1.0], 3).tolist() == []
    assert measure.best_value([[2.0, 2.0]], [1.0, 1.0], 3) == 0.0


def test_spread_by_hand():
    line = [[0.0, 3.0], [1.0, 2.0], [3.0, 0.0]]
    assert measure.smallest_gap(line) == pytest.approx(np.sqrt(2))
    assert measure.spacing(line) == pytest.approx(np.std(np.sqrt([2, 2, 8])))
    assert measure.sparsity(line) == pytest.approx((1 + 4 + 1 + 4) / 2)
    assert measure.span(line) == 3.0
    assert measure.soft_smallest_gap(line, sharpness=500.0) == pytest.approx(np.sqrt(2), abs=0.01)
    assert measure.soft_smallest_gap(line) <= measure.smallest_gap(line)
    with pytest.raises(DataError, match="at least two"):
        measure.spacing([[0.0, 1.0]])


def test_adherence_by_hand():
    assert measure.ray_angles([[3.0, 4.0]], [[4.0, 3.0]])[0] == pytest.approx(np.degrees(np.arccos(24 / 25)))
    tiny = measure.ray_angles([[1.0, 1.0 + 1e-9]], [[1.0, 1.0]])[0]
    assert tiny == pytest.approx(np.degrees(5e-10), rel=1e-3)
    assert measure.boundary_distance([[3.0, 4.0]], [[0.0, 2.0]], penalty=2.0).tolist() == [10.0]
    assert measure.nonuniformity([[1.0, 3.0]], [[1.0, 1.0]])[0] == pytest.approx(
        0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    )
    with pytest.raises(DataError, match="at least 0"):
        measure.nonuniformity([[-1.0, 3.0]], [[1.0, 1.0]])
    backwards = measure.controllability([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]], [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])
    assert backwards.tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: measure.ray_angles([[1.0, 1.0]], [[0.0, 0.0]]), DataError, "and not all 0"),
        (lambda: measure.boundary_distance([[1.0, 1.0]] * 2, [[1.0, 1.0], [0.0, 0.0]]), DataError, r"rows \[1\]"),
        (lambda: measure.boundary_distance([[1.0, 1.0]], [[-1.0, 2.0]]), DataError, "at least 0"),
        (lambda: measure.nonuniformity([[1.0, 1.0]], [[0.0, 1.0]]), DataError, "that are positive"),
        (lambda: measure.controllability([[1.0, 0.0]], [[0.0, 1.0, 2.0]]), DataError, "one row of `weights` a point"),
        (lambda: measure.sampled_hypervolume([[0.0, 0.5]], [1.0, 1.0], samples=0), SettingError, "samples=0"),
        (lambda: measure.sampled_hypervolume([[0.0, 0.5]], [1.0, 1.0], samples=-1), SettingError, "samples=-1"),
        (lambda: measure.sampled_hypervolume([[0.0, 0.5]], [1.0, 1.0], seed=-1), SettingError, "seed=-1"),
        (lambda: measure.hypervolume_gradient([[0.5] * 4], [1.0] * 4, samples=1), SettingError, "at least 2"),
        (lambda: measure.hypervolume_gradient([[0.5] * 4], [1.0] * 4, seed=-1), SettingError, "seed=-1"),
        (lambda: measure.soft_smallest_gap([[0.0], [1.0]], sharpness=0), SettingError, "`sharpness` must be"),
        (lambda: measure.soft_smallest_gap([[0.0], [1.0]], sharpness=np.inf), SettingError, "finite"),
        (lambda: measure.hausdorff_distance([[0.0]], [[1.0]], power=0), SettingError, "`power` must be a whole number"),
    ],
    ids=["angle", "zero ray", "negative ray", "open ray", "shapes", "no samples", "negative samples", "seed", "few",
         "seed of a gradient", "sharpness", "endless sharpness", "power"],
)  # fmt: skip
def test_what_has_no_value_is_refused_by_name(call, error, words):
    """A ray of zeros gave NaN, -1 samples a volume of 0, a negative sharpness a gap above the smallest."""
    with pytest.raises(error, match=words):
        call()


def test_higher_powers_are_means_of_powers():
    found = measure.hausdorff_distance(POINTS, FRONT, power=3)
    assert found == pytest.approx(max((APART.min(axis=axis) ** 3).mean() ** (1 / 3) for axis in (0, 1)))


def test_losses_of_nothing_lie_on_every_ray():
    assert measure.nonuniformity([[0.0, 0.0]], [[1.0, 2.0]]).tolist() == [0.0]
    assert measure.ray_angles([[0.0, 0.0]], [[1.0, 2.0]]).tolist() == [0.0]
