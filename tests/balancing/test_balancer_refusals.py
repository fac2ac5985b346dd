"""What a Balancer refuses, by name, and what it does with numbers that are not finite."""

import copy

import pytest
import torch

import equipoise as eq
from equipoise.errors import ClockError, LossError, NonFiniteError, SettingError, TaskError
from tests.engine.problems import TwoPart, batch


def losses_of(model=None):
    model, (x, y) = model or TwoPart(), batch()
    return model.losses(model.features(x), y)


def test_a_detached_loss_is_refused_by_name():
    bad = losses_of() | {"t1": torch.tensor(1.0)}
    with pytest.raises(LossError, match=r"task 't1' has no grad_fn: was it built with torch.tensor\(\.\.\.\)"):
        eq.Balancer(eq.LinearScalarization())(bad)


def test_all_bad_losses_are_named_at_once():
    bad = losses_of() | {"t0": 3.0, "t2": torch.ones(4, requires_grad=True)}
    with pytest.raises(
        LossError, match=r"'t0'.*must be a tensor; got float.*'t2'.*must be a scalar; it has shape \(4,\)"
    ):
        eq.Balancer(eq.LinearScalarization())(bad)


def test_a_sum_in_place_of_losses_is_refused():
    with pytest.raises(LossError, match="A sum cannot be taken apart"):
        eq.Balancer(eq.MGDA())(sum(losses_of().values()))


def test_task_names_are_fixed_by_the_first_call():
    balancer = eq.Balancer(eq.LinearScalarization())
    balancer(losses_of())
    reordered = dict(reversed(losses_of().items()))
    balancer(reordered)
    assert balancer.last.tasks == ("t0", "t1", "t2")
    renamed = losses_of()
    renamed["seg"] = renamed.pop("t1")
    with pytest.raises(TaskError, match="missing: 't1'; unknown: 'seg'"):
        balancer(renamed)
    with pytest.raises(TaskError, match="got a sequence of 2 losses"):
        balancer(list(losses_of().values())[:2])


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(TaskError, match="'a' appear more than once"):
        eq.Balancer(eq.MGDA(), tasks=("a", "a"))


def test_an_epoch_method_without_a_clock_raises():
    with pytest.raises(ClockError, match="steps_per_epoch=len"):
        eq.Balancer(eq.DWA())(losses_of())


def test_a_trained_method_without_tasks_raises_before_the_optimizer_is_built():
    with pytest.raises(SettingError, match="the optimizer must know"):
        eq.Balancer(eq.UncertaintyWeighting())


def test_wrong_settings_are_named_all_at_once():
    with pytest.raises(SettingError, match=r"scale='max'.*nonfinite='ignore'"):
        eq.Balancer(eq.MGDA(), scale="max", nonfinite="ignore")
    with pytest.raises(SettingError, match=r"must be an instance: eq.Balancer\(eq.MGDA\(\)\)"):
        eq.Balancer(eq.MGDA)


def test_a_preference_that_a_method_cannot_honour_is_refused_by_name():
    with pytest.raises(eq.errors.PreferenceError, match=r"MGDA.*cannot honour a preference of kind `Ray`"):
        eq.Balancer(eq.MGDA())(losses_of(), preference=eq.Ray((1.0, 2.0, 3.0)))


@pytest.mark.parametrize("method", [eq.LinearScalarization(), eq.MGDA(), eq.OMDTchebycheff()])
def test_a_nan_loss_raises_by_name_and_changes_nothing(method):
    model = TwoPart()
    balancer = eq.Balancer(method)
    balancer(losses_of(model))
    before = copy.deepcopy(balancer.state)
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.nan
    with pytest.raises(NonFiniteError, match="'t1': nan"):
        balancer(bad)
    assert all(torch.equal(before[name], balancer.state[name]) for name in before)
    assert balancer.steps == 1


def test_a_nan_gradient_names_task_and_first_parameter():
    model = TwoPart()
    losses = losses_of(model)
    z = model.trunk[0].weight
    losses["t2"] = losses["t2"] + torch.sqrt((z * 0).sum())  # finite value, infinite slope
    with pytest.raises(NonFiniteError, match=r"'t2': 40 of 40 values, first in trunk.0.weight"):
        eq.Balancer(eq.MGDA(), model=model)(losses)


def test_skip_leaves_the_task_out_and_counts_it():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), nonfinite="skip")
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.nan
    loss = balancer(bad)
    loss.backward()
    assert torch.isfinite(loss)
    assert balancer.counts["skipped t1"] == 1
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())
    assert balancer.last.tasks == ("t0", "t2")


def test_propagate_puts_nan_on_every_gradient_so_that_a_scaler_backs_off():
    model = TwoPart()
    balancer = eq.Balancer(eq.PCGrad(), nonfinite="propagate")
    bad = losses_of(model)
    bad["t1"] = bad["t1"] * torch.inf
    balancer(bad).backward()
    assert torch.isnan(model.trunk[0].weight.grad).all()
    assert balancer.counts["propagated"] == 1
    assert balancer.state["step"] == 0
