"""Sets trained together: how near they come to the best K points, what holds exactly, what is said when it fails."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import LossError, NonFiniteError, SettingError
from equipoise.fronts.indicators import best_value, hypervolume, smallest_gap
from equipoise.problems import DTLZ2, ZDT1, Function, named


def bowls(points):
    """Two losses of different units, and no reference."""
    left, right = (points + 1).square().sum(1), (points - 1).square().sum(1)
    return torch.stack([left, 1000 * right], dim=1)


@pytest.mark.parametrize("name", ["quad", "expo", "zdt1", "zdt2", "f2", "f6"])
def test_half_of_the_steps_come_within_one_percent_of_the_best_ten_points(name):
    problem = named(name)
    found = eq.front.find_set(name, size=10, steps=500, seed=1)
    best = best_value(problem.front(1501), problem.reference, 10)
    assert found.status == "ok"
    assert 0.99 * best < found.hypervolume <= best * (1 + 1e-4)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_piece_of_a_disconnected_front_is_found(seed):
    found = eq.front.find_set("zdt3", size=10, steps=600, seed=seed)
    pieces = [(0.0, 0.09), (0.18, 0.26), (0.4, 0.46), (0.61, 0.66), (0.82, 0.86)]
    assert all(((found.losses[:, 0] >= low) & (found.losses[:, 0] <= high)).any() for low, high in pieces)
    assert not found.dominated.any()
    assert found.hypervolume > 0.985 * 1.30396


@pytest.mark.parametrize("name", ["zdt1", "f5", "dtlz2"])
def test_parameters_give_the_losses_and_lie_in_the_box(name):
    problem = named(name)
    found = eq.front.find_set(name, size=6, steps=200)
    assert np.abs(problem.losses(found.parameters) - found.losses).max() <= 1e-12
    assert (found.parameters >= problem.lower).all()
    assert (found.parameters <= problem.upper).all()
    assert found.hypervolume == hypervolume(found.losses, problem.reference)
    assert np.isfinite(found.losses).all()


def test_three_losses_come_near_the_best_known_set():
    found = eq.front.find_set("dtlz2", size=15, steps=500)
    assert found.hypervolume > 0.97 * 0.6627


def test_the_same_seed_gives_the_same_set():
    one, two, other = (eq.front.find_set("zdt2", size=5, steps=100, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.parameters, two.parameters)
    assert not np.array_equal(one.parameters, other.parameters)


def test_each_point_is_the_minimiser_of_its_preference_among_the_points_seen():
    found = eq.front.find_set("expo", size=7, steps=400)
    for point, preference in zip(found.losses, found.preferences, strict=True):
        heights = (found.losses - np.array(preference.ideal)) * np.array(preference.weights)
        mine = (point - np.array(preference.ideal)) * np.array(preference.weights)
        assert mine == pytest.approx(mine[0])
        assert heights.max(axis=1).min() == pytest.approx(mine.max())


def test_a_reference_is_found_where_there_is_none_and_units_do_not_matter():
    problem = Function(bowls, [-3.0, -3.0], [3.0, 3.0], tasks=("near", "far"))
    found = eq.front.find_set(problem, size=5, steps=300)
    assert not found.reference_given
    assert found.status == "ok"
    # the front runs from (0, 8000) to (8, 0), and the reference lies a tenth of the range seen beyond its ends
    assert found.reference == pytest.approx([8.8, 8800.0], rel=0.25)
    true = np.linspace(0, 1, 801)[:, None] ** 2 * [8.0, 0.0] + np.linspace(1, 0, 801)[:, None] ** 2 * [0.0, 8000.0]
    assert found.hypervolume > 0.99 * best_value(true, found.reference, 5)


def test_even_spacing_has_wider_gaps_than_the_largest_volume_where_density_differs():
    even = eq.front.find_set("expo", size=8, steps=500, goal="uniform")
    volume = eq.front.find_set("expo", size=8, steps=500)
    front = named("expo").front(4001)
    along = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(front, axis=0), axis=1))]
    bent = front[np.searchsorted(along, np.linspace(0, along[-1], 8)[1:-1])]
    bound = smallest_gap(np.concatenate([front[:1], bent, front[-1:]]))
    assert 0.97 * bound < smallest_gap(even.losses) < 1.03 * bound
    assert smallest_gap(even.losses) > smallest_gap(volume.losses)
    assert np.abs(np.sqrt(-np.log1p(-even.losses)).sum(axis=1) - 2).max() < 0.02  # on the front


def test_few_points_cover_many_losses():
    centres = torch.linspace(-1, 1, 12, dtype=torch.float64)
    problem = Function(lambda x: (x - centres) ** 2, [-2.0], [2.0], reference=np.full(12, 9.0))
    found = eq.front.find_set(problem, size=3, goal="cover")
    # three intervals of four centres: the farthest centre is one and a half gaps away
    optimum = (1.5 * 2 / 11) ** 2
    assert optimum <= found.losses.min(axis=0).max() < 1.2 * optimum
    assert found.hypervolume is None


def test_forty_losses_run_and_hardly_any_point_is_dominated():
    found = eq.front.find_set(DTLZ2(k=40), size=12, steps=200)
    assert found.losses.shape == (12, 40)
    assert found.dominated.mean() <= 0.1
    assert found.hypervolume is None


def test_four_losses_use_the_sampled_gradient():
    found = eq.front.find_set(DTLZ2(k=4), size=8, steps=60)
    assert found.goal == "hypervolume"
    assert found.hypervolume > 0.5


def test_one_point_and_one_loss():
    single = Function(lambda x: x.square().sum(1, keepdim=True), [-1.0], [1.0], tasks=("only",))
    assert eq.front.find_set(single, size=1, steps=100).losses == pytest.approx(0.0, abs=1e-4)
    several = eq.front.find_set(single, size=3, steps=100)  # all of them are the one best point
    assert several.losses == pytest.approx(0.0, abs=1e-4)
    assert several.status == "2 of 3 points are dominated or repeated by others of the set"
    alone = eq.front.find_set("quad", size=1, steps=300)
    assert alone.hypervolume == pytest.approx(0.7225, rel=1e-3)


def test_a_reference_that_nothing_dominates_is_said():
    found = eq.front.find_set("quad", size=3, steps=60, reference=[-1.0, -1.0])
    assert found.hypervolume == 0.0
    assert "no point is below the reference [-1.0, -1.0] in every loss; the lowest losses seen are" in found.status
    assert np.isfinite(found.losses).all()


def test_dominated_points_are_counted_in_the_status():
    found = eq.front.find_set("zdt4", size=4, steps=60)  # ends in local fronts
    assert found.dominated.any()
    assert f"{found.dominated.sum()} of 4 points are dominated" in found.status


def test_the_mixture_of_a_concave_set_beats_its_points():
    found = eq.front.find_set("expo", size=5, steps=300)
    mixed = found.mixture(eq.Tchebycheff(ideal=None))
    assert mixed.value < 0.55
    assert mixed.single_value > 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"problem": "zdt7"}, "no formula problem 'zdt7'"),
        ({"problem": ZDT1}, "must be a name, or a problem in a box"),
        ({"size": 0}, "`size` must be a whole number of at least 1"),
        ({"steps": 5}, "`steps` of at least 10"),
        ({"goal": "best"}, "`goal` must be one of 'hypervolume', 'uniform', 'rays', 'cover'"),
        ({"reference": [1.0]}, "`reference` must be 2 finite numbers"),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, dict) else None,
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        eq.front.find_set(**{"problem": "zdt1", **settings})


def test_a_constant_loss_is_named():
    flat = Function(lambda x: torch.stack([x.sum(1), 0 * x.sum(1) + 3], 1), [0.0], [1.0], tasks=("real", "flat"))
    with pytest.raises(LossError, match="'flat' are constant at all 4 starts"):
        eq.front.find_set(flat, size=4, steps=20)


def test_a_loss_that_leaves_the_numbers_is_named():
    poles = Function(lambda x: torch.stack([x.sum(1), -(x.sum(1) - 0.3).log()], 1), [0.31], [1.0], tasks=("a", "b"))
    eq.front.find_set(poles, size=4, steps=20)
    broken = Function(lambda x: torch.stack([x.sum(1), (0.5 - x.sum(1)).sqrt()], 1), [0.0], [1.0], tasks=("a", "b"))
    with pytest.raises(NonFiniteError, match="losses must be finite; in step 0 those of 'b' are not"):
        eq.front.find_set(broken, size=8, steps=20)
