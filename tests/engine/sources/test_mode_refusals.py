"""Modes that cannot be used are refused by name, before anything is computed."""

import itertools

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import SettingError, StateError
from tests.engine.comparing import step
from tests.engine.problems import TwoPart, batch

MODES = {
    "Features": lambda model: eq.Features(),
    "Every": lambda model: eq.Every(2),
    "Sketch": lambda model: eq.Sketch(16),
    "LastLayer": lambda model: eq.LastLayer(model.trunk[2]),
}


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        (eq.Every, r"gradients=Every \(an instance: eq.Every\(...\)\)"),
        ("exact", r"gradients='exact' \(eq.Exact\(\), Features\(\)"),
    ],
)
def test_what_is_no_mode_is_refused(mode, message):
    with pytest.raises(SettingError, match=message):
        eq.Balancer(eq.MGDA(), gradients=mode)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (eq.LinearScalarization(), "looks at losses alone"),
        (eq.MoCo(), "needs the Jacobian"),
        (eq.MGDAUB(), "works on the gradients at the features already"),
    ],
)
@pytest.mark.parametrize("mode", [eq.Every(2), eq.Sketch(8), eq.Features()])
def test_a_method_that_has_no_use_for_an_approximation_refuses_it_by_name(method, mode, message):
    with pytest.raises(SettingError, match=message):
        eq.Balancer(method, gradients=mode)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "2"])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SettingError):
        eq.Every(wrong)
    with pytest.raises(SettingError):
        eq.Sketch(wrong)


def test_last_layer_names_what_does_not_require_grad():
    with pytest.raises(SettingError, match=r"number 1 of shape \(2,\) does not require grad"):
        eq.LastLayer([nn.Parameter(torch.ones(1)), torch.ones(2)])
    with pytest.raises(SettingError, match="got none"):
        eq.LastLayer([])


def test_modes_are_values():
    assert eq.Every(3) == eq.Every(3)
    assert len({eq.Sketch(8), eq.Sketch(8), eq.Exact(), eq.Features()}) == 3


def test_the_first_step_is_refused_where_gradients_do_not_fit():
    model, (x, y) = TwoPart(), batch()
    before = torch.random.get_rng_state()
    balancer = eq.Balancer(eq.MoCo(), memory_limit=1000)
    with pytest.raises(eq.errors.EquipoiseError, match=r"need about 20\.\d KiB.*memory_limit is 1000 bytes.*Sketch"):
        step(balancer, model, x, y)
    assert balancer.steps == 0
    assert torch.equal(before, torch.random.get_rng_state())
    step(eq.Balancer(eq.MoCo(), memory_limit=float("inf")), model, x, y)
    with pytest.raises(SettingError, match="memory_limit=-1"):
        eq.Balancer(eq.MoCo(), memory_limit=-1)


def test_a_state_saved_with_another_granularity_is_refused():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.GradVac(), model=model, granularity="tensor")
    step(balancer, model, x, y)
    with pytest.raises(StateError, match="saved with granularity='tensor'; this Balancer has 'model'"):
        eq.Balancer(eq.GradVac(), model=model).load_state_dict(balancer.state_dict())


def test_all_modes_agree_on_two_identical_tasks():
    model, (x, y) = TwoPart(k=2), batch(k=2)
    y[:, 1] = y[:, 0]
    model.heads[1].load_state_dict(model.heads[0].state_dict())
    for make, heads in itertools.product([*MODES.values(), lambda _: eq.Exact()], ["own", "weighted"]):
        balancer = eq.Balancer(eq.IMTLG(), model=model, gradients=make(model), heads=heads)
        step(balancer, model, x, y)
        torch.testing.assert_close(balancer.last.weights, torch.full((2,), 0.5, dtype=torch.float64))


def test_an_exact_step_streams_where_memory_is_short_and_is_refused_where_nothing_fits():
    model, (x, y) = TwoPart(), batch()
    found = []
    for limit in (None, 2000):
        model.zero_grad()
        balancer = eq.Balancer(eq.MGDA(), model=model, memory_limit=limit)
        step(balancer, model, x, y)
        found.append([p.grad.clone() for p in model.parameters()])
    assert balancer.plan.engine == "streaming"
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    with pytest.raises(SettingError, match="no exact engine fits"):
        step(eq.Balancer(eq.MGDA(), model=model, memory_limit=100), model, x, y)
