"""What a step will cost is said before the step, once for each way that is taken."""

import logging
import re

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.engine.cost.announce import CostNotice
from equipoise.engine.cost.plan import LayerPlan, Plan
from tests.engine.problems import TwoPart, batch

CPU = torch.device("cpu")


def losses_of(model, n=16):
    x, y = batch(n=n)
    z = model.features(x)
    return z, model.losses(z, y)


def step(balancer, model, n=16, absent=(), two_phase=True):
    z, losses = losses_of(model, n)
    balancer(losses | dict.fromkeys(absent), features=z if two_phase else None).backward()


def test_a_way_is_said_once_and_again_only_when_it_changes(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    notice = CostNotice()
    plan = Plan("two-phase", "why", 3, 2.3, 1000, (LayerPlan("ghost", ("w",), "few rows", 1000),))
    other = Plan("two-phase", "why", 3, 2.9, 1000, (LayerPlan("direct", ("w",), "many rows", 1000),))
    for told in (plan, plan, other, plan, other):
        notice(told, 1e9, CPU)
    assert [record.getMessage() for record in caplog.records] == [CostNotice.words(plan), CostNotice.words(other)]


def test_more_than_half_of_the_limit_is_a_warning_also_when_it_grows_there(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    notice = CostNotice()
    for memory in (400, 450, 600, 900, 999):
        notice(Plan("sketch", "why", 2, 1.5, memory), 1000, CPU)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    end = "600 bytes beyond one. That is more than half of the 1000 bytes that memory_limit allows."
    assert caplog.records[1].getMessage().endswith(end)


def test_without_a_limit_the_free_memory_counts(caplog, monkeypatch):
    monkeypatch.setattr("equipoise.engine.cost.announce.free_bytes", lambda device: 1000.0)
    CostNotice()(Plan("sequential", "why", 2, None, 501), None, CPU)
    assert "cost not known" in caplog.text
    assert "more than half of the 1000 bytes that cpu has free" in caplog.text


def test_what_is_not_known_is_said_to_be_unknown():
    assert CostNotice.words(Plan("x", "why", 1)) == "gradients: x (why), 1 pass; cost not known and memory not known."


@pytest.mark.parametrize(
    ("gradients", "engine"),
    [
        (eq.Exact(), "two-phase"),
        (eq.Every(3), "two-phase"),
        (eq.Sketch(64), "sketch"),
        (eq.Features(), "features"),
    ],
    ids=repr,
)
def test_a_balancer_says_its_cost_before_the_first_pass(gradients, engine, caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    model = TwoPart()
    said: list[int] = []  # notices so far, each time a gradient comes by in the trunk

    def watch(module, given, out):
        out.register_hook(lambda gradient: said.append(len(caplog.records)))

    inner = model.trunk[0].register_forward_hook(watch)
    z, losses = losses_of(model)
    inner.remove()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=gradients)
    balancer(losses, features=z).backward()
    assert said
    assert set(said) == {1}
    for _ in range(4):
        step(balancer, model)
    (found,) = caplog.records
    assert (found.name, found.levelname) == ("equipoise.engine", "INFO")
    shape = rf"gradients: {engine} \(.*\), \d+ pass.*; predicted \d+\.\d plain steps and [\d.]+ \w+ beyond one\."
    assert re.fullmatch(shape, found.getMessage())


def test_a_refused_step_was_not_begun_and_one_near_the_limit_warns(caplog):
    model = TwoPart()
    with pytest.raises(eq.errors.EquipoiseError, match="memory_limit is 1000 bytes"):
        step(eq.Balancer(eq.MoCo(), memory_limit=1000), model)
    assert caplog.records == []
    balancer = eq.Balancer(eq.MoCo(), memory_limit=24_000)
    step(balancer, model)
    step(balancer, model)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert 12_000 < balancer.plan.memory < 24_000


def test_methods_on_losses_alone_say_nothing_and_cost_a_plain_step(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    model = TwoPart()
    balancer = eq.Balancer(eq.LinearScalarization())
    step(balancer, model)
    assert caplog.records == []
    assert (balancer.plan.cost, balancer.plan.memory) == (1.0, 0)


def test_absent_tasks_are_another_way_and_a_smaller_batch_is_none(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for n, absent in [(16, ()), (12, ()), (16, ("t1",)), (16, ()), (16, ("t1",))]:
        step(balancer, model, n, absent)
    assert [re.search(r"\d+ pass", record.getMessage()).group() for record in caplog.records] == ["3 pass", "2 pass"]


def test_a_streamed_step_says_what_does_not_fit(caplog):
    caplog.set_level(logging.INFO, logger="equipoise")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(40, 40).double() for _ in range(4)]
        heads = nn.ModuleList([nn.Linear(40, 1).double() for _ in range(3)])
        x = torch.randn(200, 40, dtype=torch.float64)
    trunk = nn.Sequential(*[part for layer in layers for part in (layer, nn.Tanh())])
    balancer = eq.Balancer(eq.MGDA(), memory_limit=120_000)
    for _ in range(2):
        z = trunk(x)
        balancer([head(z).square().mean() for head in heads], features=z).backward()
    assert balancer.plan.engine == "streaming"
    assert len(caplog.records) == 1
    assert "bytes of gradients do not fit" in caplog.text
    assert caplog.records[0].levelname == "WARNING"


WAYS = {
    "losses": (eq.LinearScalarization(), {}),
    "exact": (eq.MGDA(), {}),
    "recompute": (eq.MGDA(), {"mode": "recompute"}),
    "every": (eq.MGDA(), {"gradients": eq.Every(2)}),
    "sketch": (eq.MGDA(), {"gradients": eq.Sketch(16)}),
    "features": (eq.MGDA(), {"gradients": eq.Features()}),
    "layer": (eq.GradNorm(), {"layer": True}),
    "feature method": (eq.MGDAUB(), {}),
    "Jacobian method": (eq.MoCo(), {}),
    "modules": (eq.MGDA(), {"granularity": "module"}),
    "second": (eq.MoDo(), {"second": True}),
    "micro-batches": (eq.MGDA(), {"accumulate": 2}),
}


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("name", list(WAYS))
def test_every_plan_tells_cost_and_memory(name, two_phase):
    method, more = WAYS[name]
    more = dict(more)
    two_phase = two_phase or name in {"features", "feature method"}
    model = TwoPart()
    second, micro = more.pop("second", False), more.pop("accumulate", 1)
    if more.pop("layer", False):
        more["layer"] = model.trunk[2]
    balancer = eq.Balancer(method, model=model, **more)
    balancer.accumulate(micro)
    plans = []
    for _ in range(4):
        z, losses = losses_of(model)
        other = {"second": losses_of(model)[1]} if second else {}
        balancer(losses, features=z if two_phase else None, **other).backward()
        plans.append(balancer.plan)
    for plan in plans[micro - 1 :]:
        assert plan.cost is not None, plan
        assert 0.9 < plan.cost < 9, plan
        assert plan.memory is not None, plan
        assert plan.memory > 0 or plan.engine in {"losses", "reused"}, plan
        assert f"predicted cost {plan.cost:.1f} plain steps" in str(plan)


def test_the_layer_of_gradnorm_is_no_approximation_and_that_of_others_is():
    model = TwoPart()
    reasons = {}
    for method in (eq.GradNorm(), eq.Smoothed(eq.GradNorm()), eq.MGDA(), eq.Smoothed(eq.MGDA())):
        balancer = eq.Balancer(method, model=model, layer=model.trunk[2])
        step(balancer, model)
        reasons[repr(method)] = balancer.plan.reason
    defined = "the method is defined on the gradients of one layer: 2 parameters (trunk.2.weight, trunk.2.bias)"
    other = "APPROXIMATION: one layer's gradients: 2 parameters (trunk.2.weight, trunk.2.bias)"
    assert list(reasons.values()) == [defined, defined, other, other]
