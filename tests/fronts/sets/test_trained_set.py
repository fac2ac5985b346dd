"""Sets of models against a front that is known by formula; what stands in the result is recomputed."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import equipoise as eq
from equipoise.errors import DataError, LossError, SettingError
from tests.fronts.sets.linear_problem import Line, adam, make_problem

BEST_10 = 1.00892  # of the front sqrt(f1) + sqrt(f2) = 1 below (1.1, 1.1)


@pytest.fixture(scope="module")
def found():
    said = []
    made = eq.front.find_set(
        make_problem(), 10, 350, reference=(1.1, 1.1), optimizer=adam, progress=lambda *words: said.append(words)
    )
    assert said[-1][:2] == (350, 350)
    assert said[-1][2].startswith("lowest on val: left ")
    return made


def test_ten_models_reach_the_best_ten_points_of_the_front(found):
    assert (found.status, found.part, found.trained) == ("ok", "val", "together")
    assert 0.985 * BEST_10 < found.hypervolume <= BEST_10 + 1e-4
    assert np.sqrt(found.losses).sum(axis=1) == pytest.approx(1.0, abs=0.01)
    assert not found.dominated.any()


def test_losses_are_those_of_the_models_and_the_parts(found):
    problem = make_problem()
    assert found.rows == {"left": 32, "right": 32}
    assert found.parameters.shape == (10, 4)
    for row in (0, 7):
        model = found.model(row)
        assert torch.equal(model.weight, torch.from_numpy(found.parameters[row]))
        for part, losses in (("val", found.losses), ("test", found.test_losses)):
            x, left, right = problem.sources[part].data
            with torch.no_grad():
                output = model(x)
            expected = [float((output - one).square().mean()) for one in (left, right)]
            assert losses[row] == pytest.approx(expected, rel=1e-12)
    assert found.test_losses == pytest.approx(found.losses, rel=1e-9)  # white inputs


def test_each_point_serves_its_preference_best(found):
    for row, preference in enumerate(found.preferences):
        weights, ideal = np.array(preference.weights), np.array(preference.ideal)
        assert (weights * (found.losses - ideal)).max(axis=1).argmin() == row


def test_the_same_seed_gives_the_same_set_and_leaves_the_callers_generators():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (
        eq.front.find_set(make_problem(), 3, 40, seed=4, optimizer=adam, batch_size=8).losses for _ in range(2)
    )
    assert np.array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


def test_models_that_cannot_be_stacked_reach_the_same_front():
    problem = make_problem(lambda: Line(nn.BatchNorm1d(4, dtype=torch.float64)), ("train",))
    found = eq.front.find_set(problem, 3, 200, goal="rays", optimizer=adam)
    assert (found.part, found.test_losses) == ("train", None)
    assert found.trained == ("one after another: batch normalisation ('extra') keeps running statistics of each model")
    assert np.sqrt(found.losses).sum(axis=1) == pytest.approx(1.0, abs=0.01)
    copied = found.model(0).extra.running_var
    assert copied.shape == (4,)
    assert not torch.equal(copied, torch.ones(4, dtype=torch.float64))  # the buffers came along


def test_batches_of_a_users_loader():
    problem = make_problem()
    rows = TensorDataset(*problem.sources["train"].data)
    loader = DataLoader(rows, batch_size=16, shuffle=True)
    given = eq.Problem(Line, problem.losses, train=loader, val=problem.sources["val"].data)
    found = eq.front.find_set(given, 3, 150, goal="rays", optimizer=adam)
    assert (found.trained, found.test_losses) == ("together", None)
    assert np.sqrt(found.losses).sum(axis=1) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("goal", ["uniform", "cover"])
def test_other_goals(goal):
    found = eq.front.find_set(make_problem(), 2 if goal == "cover" else 4, 200, goal=goal, optimizer=adam)
    assert np.sqrt(found.losses).sum(axis=1) == pytest.approx(1.0, abs=0.02)
    if goal == "cover":
        assert found.losses.min(axis=0) == pytest.approx([0, 0], abs=1e-3)
    else:
        gaps = np.linalg.norm(np.diff(found.losses, axis=0), axis=1)
        assert gaps.min() > 0.6 * gaps.max()


def test_bad_input_is_named():
    with pytest.raises(SettingError, match=r"batch_size=0 .*; every=-1 .*; optimizer=3 "):
        eq.front.find_set(make_problem(), batch_size=0, every=-1, optimizer=3)
    with pytest.raises(SettingError, match=r"'batch_size', 'every' are settings for an eq\.Problem"):
        eq.front.find_set("quad", batch_size=None, every=5)
    problem = make_problem()
    problem.losses["right"] = lambda out, batch: batch[2] ** 2
    with pytest.raises(LossError, match="'right' have no gradient"):
        eq.front.find_set(problem, 2, 10)
    problem.make_model = nn.Identity
    with pytest.raises(SettingError, match="nothing to train: Identity has no parameters"):
        eq.front.find_set(problem, 2, 10)
    unlabelled = make_problem()
    unlabelled.sources["val"].data[1].fill_(torch.nan)
    unlabelled.sources["val"].may_miss = True
    with pytest.raises(DataError, match="the val part must have a labelled row of every task; it has none of 'left'"):
        eq.front.find_set(unlabelled, 2, 10)
