"""Soups beside mixtures: ends that are the members, Jensen on linear models, a barrier where neurons are permuted."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import InputError, SettingError
from equipoise.fronts import interpolate, soup

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = torch.stack([X @ torch.tensor([1.0, -1.0, 0.5, 0.0]), X[:, 0] * X[:, 1]], dim=1)


def squares(task: int, outputs: torch.Tensor, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (outputs[:, 0] - batch[1][:, task]) ** 2


def problem() -> eq.Problem:
    losses = {"a": partial(squares, 0), "b": partial(squares, 1)}
    return eq.Problem(lambda: nn.Linear(4, 1), losses, train=(X[:40], Y[:40]), val=(X[40:], Y[40:]))


def by_hand(model: nn.Module, part: slice = slice(40, 60)) -> np.ndarray:
    return ((model.eval()(X[part]) - Y[part]) ** 2).mean(0).detach().double().numpy()


def normed(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    model(X[:40])  # running statistics
    return model.eval()


def test_the_ends_are_the_members_and_the_mixtures_lie_on_the_line():
    models = [normed(seed) for seed in range(3)]
    found = interpolate(models, problem(), divisions=3)
    assert found.part == "val"
    assert found.rows == {"a": 20, "b": 20}
    ends = np.array([by_hand(model) for model in models])
    np.testing.assert_allclose(found.mixtures, found.shares @ ends, rtol=1e-6)
    corners = found.shares.max(axis=1) == 1
    np.testing.assert_array_equal(found.soups[corners], found.mixtures[corners])
    np.testing.assert_array_equal(found.barrier, (found.soups - found.mixtures).max(axis=0))


def test_for_linear_models_and_squared_losses_a_soup_is_never_worse():
    """The loss is convex in the parameters, and the gain is the variance of the members' predictions."""
    torch.manual_seed(1)
    one, two = nn.Linear(4, 1), nn.Linear(4, 1)
    found = interpolate([one, two], problem(), divisions=4)
    spread = float(((one(X[40:]) - two(X[40:])) ** 2).detach().mean())
    share = found.shares[:, 0]
    np.testing.assert_allclose(
        found.mixtures - found.soups, np.repeat((share * (1 - share) * spread)[:, None], 2, axis=1), atol=1e-5
    )


def test_permuted_neurons_make_a_barrier_that_the_mixture_does_not_have():
    """The same function with its hidden neurons in another order: both ends are equal, the soup between is not."""
    torch.manual_seed(2)
    one = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(one.parameters(), lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        squares(0, one(X[:40]), (X[:40], Y[:40])).mean().backward()
        optimizer.step()
    two = copy.deepcopy(one)
    with torch.no_grad():
        for parameter, axis in ((two[0].weight, 0), (two[0].bias, 0), (two[2].weight, 1)):
            parameter.copy_(parameter.roll(1, axis))
    found = interpolate([one, two], problem(), divisions=2)
    np.testing.assert_allclose(found.mixtures, np.repeat(found.mixtures[:1], 3, axis=0), rtol=1e-4)
    assert found.barrier[0] > 3 * found.mixtures[0, 0]


def test_statistics_are_those_of_the_soup_on_the_training_part():
    models = [normed(0), normed(1)]
    found = interpolate(models, problem(), divisions=2)
    made = soup(models, [0.5, 0.5])
    hidden = made[0](X[:40]).detach()
    made[1].running_mean.copy_(hidden.mean(0))
    made[1].running_var.copy_(hidden.var(0))
    np.testing.assert_allclose(found.soups[1], by_hand(made), rtol=1e-5)
    stale = soup(models, [0.5, 0.5])
    assert np.abs(found.soups[1] - by_hand(stale)).max() > 1e-3


def test_the_best_mixture_is_served_as_a_model():
    models = [normed(seed) for seed in range(3)]
    found = interpolate(models, problem(), divisions=2)
    served = found.mixture(eq.Tchebycheff(ideal=None))
    ends = np.array([by_hand(model) for model in models])
    np.testing.assert_allclose(served.expected_losses, np.array(served.shares) @ ends, rtol=1e-6)
    assert served.expected_losses.max() <= ends.max(axis=1).min() + 1e-9


def test_what_cannot_be_interpolated_is_refused():
    deep = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 1))
    with pytest.raises(InputError, match=r"'bias' differ.*A mixture"):
        interpolate([nn.Linear(4, 1), deep], problem())
    with pytest.raises(InputError, match="'weight'"):
        soup([nn.Linear(4, 1), nn.Linear(4, 2)], [0.5, 0.5])
    with pytest.raises(InputError, match=r"must be a torch\.nn\.Module; found 'int'"):
        interpolate([nn.Linear(4, 1), 2], problem())
    with pytest.raises(SettingError, match="one for each of the 0 models"):
        soup([], [])
    first, second = nn.Linear(4, 1), nn.Linear(4, 1)
    first.register_buffer("order", torch.tensor([0, 1]))
    second.register_buffer("order", torch.tensor([1, 0]))
    with pytest.raises(InputError, match="'order'"):
        soup([first, second], [0.5, 0.5])
    for models, settings in (([nn.Linear(4, 1)], {}), ([nn.Linear(4, 1)] * 2, {"divisions": 0})):
        with pytest.raises(SettingError, match="at least"):
            interpolate(models, problem(), **settings)
    with pytest.raises(SettingError, match=r"'train', 'val'; got.*part='test'"):
        interpolate([nn.Linear(4, 1)] * 2, problem(), part="test")
    with pytest.raises(SettingError, match="sum 1"):
        soup([nn.Linear(4, 1)] * 2, [0.5, 0.6])
