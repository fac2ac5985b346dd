"""A first call that is refused leaves a Balancer as it was: the next one may name other tasks."""

import pytest
import torch

import equipoise as eq
from equipoise.errors import EquipoiseError, NonFiniteError
from tests.engine.problems import TwoPart, batch


def losses_of(model, names=("t0", "t1", "t2")):
    x, y = batch()
    found = model.losses(model.features(x), y)
    return dict(zip(names, found.values(), strict=False))


def nan_loss(model):
    losses = losses_of(model, ("a", "b", "c"))
    return losses | {"b": losses["b"] * torch.nan}


def nan_gradient(model):
    losses = losses_of(model, ("a", "b", "c"))
    return losses | {"c": losses["c"] + torch.sqrt((model.trunk[0].weight * 0).sum())}  # finite, its slope is not


METHODS = [eq.LinearScalarization(), eq.DWA(), eq.MGDA(), eq.GradVac(), eq.MoCo()]
CASES = [
    (method, bad)
    for method in METHODS
    for bad in (nan_loss, nan_gradient)
    if bad is nan_loss or method.needs != "losses"  # which sees no gradients
]


@pytest.mark.parametrize(("method", "bad"), CASES, ids=lambda part: getattr(part, "__name__", type(part).__name__))
def test_a_refused_first_call_fixes_no_task_names(method, bad):
    model = TwoPart()
    balancer = eq.Balancer(method, model=model, steps_per_epoch="manual")
    with pytest.raises(NonFiniteError):
        balancer(bad(model))
    assert balancer.tasks is None
    assert balancer.state == {}
    assert balancer.steps == 0
    assert balancer.last is None
    assert not balancer.counts
    balancer(losses_of(model)).backward()
    assert balancer.tasks == ("t0", "t1", "t2")


def test_what_a_refused_first_call_showed_of_the_parameters_is_forgotten():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    with pytest.raises(NonFiniteError):
        balancer(nan_gradient(model))
    two = losses_of(model)
    balancer({"t2": two["t2"], "t1": two["t1"]}).backward()  # other tasks, and in another order
    other = TwoPart()
    fresh = eq.Balancer(eq.MGDA(), model=other)
    two = losses_of(other)
    fresh({"t2": two["t2"], "t1": two["t1"]}).backward()
    assert balancer.ownership.reached == fresh.ownership.reached
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert (one.grad is None) == (same.grad is None)
        assert one.grad is None or torch.equal(one.grad, same.grad)


@pytest.mark.parametrize("tasks", [None, ("t0", "t1", "t2")])
def test_a_refused_later_call_keeps_the_names_and_the_state(tasks):
    model = TwoPart()
    balancer = eq.Balancer(eq.OMDTchebycheff(), tasks=tasks)
    balancer(losses_of(model))
    before = {name: tensor.clone() for name, tensor in balancer.state.items()}
    bad = losses_of(model)
    with pytest.raises(NonFiniteError):
        balancer(bad | {"t1": bad["t1"] * torch.inf})
    assert balancer.tasks == ("t0", "t1", "t2")
    assert all(torch.equal(before[name], tensor) for name, tensor in balancer.state.items())


def test_a_first_call_that_does_not_fit_into_memory_changes_nothing():
    model = TwoPart()
    balancer = eq.Balancer(eq.MoCo(), memory_limit=100)
    with pytest.raises(EquipoiseError, match="memory_limit is 100 bytes"):
        balancer(losses_of(model, ("a", "b", "c")))
    assert balancer.tasks is None
