"""Training one model for all preferences: what each criterion covers, and whose losses are measured."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import LossError, NonFiniteError, SettingError
from equipoise.fronts import fit_conditioned
from equipoise.fronts.indicators import hypervolume

ADAM = partial(torch.optim.Adam, lr=0.03)
CORNER = [1.05, 1.05]


def concave() -> eq.Problem:
    """The two ends are at outputs of 1 and -1; between them the front of the two losses is concave."""

    def loss(centre: float, outputs: torch.Tensor, batch: tuple[torch.Tensor]) -> torch.Tensor:
        return -torch.expm1(-((outputs - centre) ** 2)).squeeze(1)

    make = lambda: nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))  # noqa: E731
    return eq.Problem(make, {"up": partial(loss, 1.0), "down": partial(loss, -1.0)}, train=(torch.ones(4, 1),))


def front_volume() -> float:
    place = np.linspace(-1, 1, 4001)
    return hypervolume(np.stack([1 - np.exp(-((place - 1) ** 2)), 1 - np.exp(-((place + 1) ** 2))], axis=1), CORNER)


def in_the_middle(losses: np.ndarray) -> int:
    return int((losses.max(axis=1) < 0.85).sum())


@pytest.mark.parametrize("criterion", ["tchebycheff", "smooth", "hypervolume"])
def test_a_concave_front_is_covered(criterion):
    reference = CORNER if criterion == "hypervolume" else None
    found = fit_conditioned(
        concave(),
        steps=300 if reference else 600,
        rank=4,
        criterion=criterion,
        reference=reference,
        optimizer=ADAM,
        seed=1,
    )
    losses = found.losses["train"]
    assert in_the_middle(losses) >= 4
    assert hypervolume(losses, CORNER) > 0.9 * front_volume()
    assert found.dominated <= 0.1
    assert found.model.preference == {"up": 0.5, "down": 0.5}
    assert found.controllability.min() > 0.95


def test_a_weighted_sum_leaves_its_middle_out():
    found = fit_conditioned(concave(), steps=600, rank=4, criterion="linear", optimizer=ADAM, seed=1)
    assert in_the_middle(found.losses["train"]) <= 2
    assert hypervolume(found.losses["train"], CORNER) < 0.8 * front_volume()


def rows(seed: int, missing: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 3, generator=draw)
    y = torch.stack([x.sum(1), x[:, 0] ** 2], dim=1)
    if missing:
        y[::2, 1] = torch.nan
    return x, y


def squares(task: int, outputs: torch.Tensor, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (outputs[:, 0] - batch[1][:, task]) ** 2


def regression(missing: bool = False) -> eq.Problem:
    make = lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))  # noqa: E731
    losses = {"sum": partial(squares, 0), "square": partial(squares, 1)}
    return eq.Problem(make, losses, train=rows(0, missing), val=rows(1, missing), test=rows(2))


def test_measured_losses_are_those_of_the_plain_models():
    before = torch.get_rng_state()
    found = fit_conditioned(regression(missing=True), steps=60, batch_size=10, points=5, optimizer=ADAM)
    assert torch.equal(torch.get_rng_state(), before)
    x, y = rows(0, missing=True)
    for part, seed in (("val", 1), ("test", 2)):
        inputs, labels = rows(seed, missing=part == "val")
        for preference, losses in zip(found.preferences, found.losses[part], strict=True):
            plain = found.model.at(preference.tolist(), [(x, y)]).eval()  # statistics of the training part
            errors = (plain(inputs) - labels) ** 2
            np.testing.assert_allclose(losses, errors.nanmean(0).detach().double().numpy(), rtol=1e-5)
    assert found.rows == {"val": {"sum": 40, "square": 20}, "test": {"sum": 40, "square": 40}}
    assert found.parameters[0] - found.parameters[1] == found.model.added_parameters
    assert found.empty == 0
    again = fit_conditioned(regression(missing=True), steps=60, batch_size=10, points=5, optimizer=ADAM)
    np.testing.assert_array_equal(again.losses["val"], found.losses["val"])


def test_units_are_what_makes_losses_comparable():
    """Ten times a loss with ten times its unit is the same training."""
    plain = fit_conditioned(regression(), steps=30, points=3, optimizer=ADAM)
    problem = regression()
    problem.losses["square"] = lambda out, batch: 10 * squares(1, out, batch)
    scaled = fit_conditioned(problem, steps=30, points=3, optimizer=ADAM, units={"sum": 1, "square": 10})
    np.testing.assert_allclose(scaled.losses["val"] / [1, 10], plain.losses["val"], rtol=1e-4)


def test_steps_without_a_label_are_counted():
    x, y = rows(0)
    y[:] = torch.nan
    problem = eq.Problem(lambda: nn.Linear(3, 1), regression().losses, train=(x, y))
    found = fit_conditioned(problem, steps=3, points=3)
    assert found.empty == 3
    assert np.isnan(found.losses["train"]).all()
    assert np.isnan(found.dominated)
    assert np.isnan(found.controllability).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0, "points": 2}, "steps=0.*points=2"),
        ({"criterion": "epo"}, "criterion='epo'"),
        ({"criterion": "hypervolume"}, "needs `reference`"),
        ({"criterion": "hypervolume", "reference": [1, 1], "together": 1}, "together=1"),
        ({"units": [1, 0]}, "`units` must be positive"),
    ],
    ids=["sizes", "criterion", "reference", "together", "units"],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        fit_conditioned(concave(), **{"steps": 5, **settings})


def test_losses_that_cannot_be_trained_are_refused():
    x, y = rows(0)
    detached = {"sum": partial(squares, 0), "square": lambda out, batch: squares(1, out.detach(), batch)}
    with pytest.raises(LossError, match="square"):
        fit_conditioned(eq.Problem(lambda: nn.Linear(3, 1), detached, train=(x, y)), steps=2)
    broken = {"sum": partial(squares, 0), "square": lambda out, batch: squares(1, out, batch) / 0.0}
    with pytest.raises(NonFiniteError, match="those of 'square' are not"):
        fit_conditioned(eq.Problem(lambda: nn.Linear(3, 1), broken, train=(x, y)), steps=2)


def test_the_state_with_the_lowest_validation_losses_is_kept():
    """Labels are noise, so longer training is worse; the kept state is the one that a shorter run ends with."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 3, generator=draw), torch.randn(30, 2, generator=draw)
    problem = eq.Problem(
        lambda: nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1)),
        {"a": partial(squares, 0), "b": partial(squares, 1)},
        train=(x, y),
        val=rows(1),
    )
    fit = partial(fit_conditioned, problem, batch_size=None, points=5, optimizer=ADAM)
    kept, last = fit(steps=100, every=5), fit(steps=100, every=0)
    assert kept.selected < 100
    assert last.selected == 100
    weighted = [(one.preferences * one.losses["val"]).sum(axis=1).mean() for one in (kept, last)]
    assert weighted[0] < weighted[1]
    shorter = fit(steps=kept.selected, every=0)
    for (name, value), other in zip(kept.model.state_dict().items(), shorter.model.state_dict().values(), strict=True):
        assert torch.equal(value, other), name
