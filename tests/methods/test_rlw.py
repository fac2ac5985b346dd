"""Random weights: on the simplex, equal on average, repeatable, apart from the global generators."""

import numpy as np
import pytest
import torch

import equipoise as eq

from .histories import play, weigh

NAMES = ("normal", "uniform", "truncated normal", "random normal", "dirichlet", "one-hot", "subset")


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_on_the_simplex_and_equal_on_average(name):
    drawn = np.array([step.weights.tolist() for step in play(eq.RLW(name), [[1.0, 2.0, 3.0]] * 1500)])
    assert (drawn >= 0).all()
    assert drawn.sum(axis=1) == pytest.approx(np.ones(1500))
    assert drawn.mean(axis=0) == pytest.approx(np.full(3, 1 / 3), abs=0.05)
    assert len(np.unique(drawn[:, 0])) > (1 if name in ("one-hot", "subset") else 1000)


def test_each_distribution_has_its_own_support():
    first = {name: play(eq.RLW(name), [[1.0] * 4] * 300) for name in NAMES}
    for step in first["one-hot"]:
        assert sorted(step.weights.tolist()) == [0.0, 0.0, 0.0, 1.0]
    sizes = {int((step.weights > 0).sum()) for step in first["subset"]}
    assert sizes == {1, 2, 3, 4}
    assert all(len(set(step.weights[step.weights > 0].tolist())) == 1 for step in first["subset"])
    for step in first["truncated normal"]:  # the logits lie in [-2, 2]
        assert float(step.weights.max() / step.weights.min()) <= np.exp(4.0) * (1 + 1e-12)
    for step in first["uniform"]:
        assert float(step.weights.max() / step.weights.min()) <= np.exp(1.0) * (1 + 1e-12)


def test_a_seed_repeats_its_run_and_a_run_can_be_cut_in_two():
    whole = [step.weights for step in play(eq.RLW(seed=5), [[1.0] * 3] * 6)]
    state = play(eq.RLW(seed=5), [[1.0] * 3] * 3)[-1].state
    for wanted in whole[3:]:
        weighed = weigh(eq.RLW(seed=5), [1.0] * 3, state)
        assert torch.equal(weighed.weights, wanted)
        state = weighed.state
    assert not torch.equal(whole[0], play(eq.RLW(seed=6), [[1.0] * 3])[0].weights)


def test_the_global_generators_are_neither_read_nor_moved():
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global one is what is watched
    before = torch.random.get_rng_state(), np.random.get_state()[2]  # noqa: NPY002
    first = weigh(eq.RLW(), [1.0] * 3).weights
    torch.manual_seed(99)
    assert torch.equal(weigh(eq.RLW(), [1.0] * 3).weights, first)
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[2] == before[1]  # noqa: NPY002
