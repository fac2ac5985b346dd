"""The Gramian in an optimizer's metric is J D J^T to rounding, and what cannot have one is refused by name."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.training.recording.folder import read_training
from tests.engine.problems import TwoPart, batch


class Opposed(TwoPart):
    """Three tasks that want one output at different places."""

    def losses(self, z, y):
        output = self.heads[0](z)[:, 0]
        targets = {"a": y[:, 0], "b": -y[:, 0], "c": y[:, 1]}
        return {name: (output - target).square().mean() for name, target in targets.items()}


class Loop:
    """A model, Adam without momentum unless said, and a Balancer in its metric."""

    def __init__(self, method=None, optimizer=None, model=None, **settings):
        self.model = model or TwoPart()
        build = optimizer or (lambda model: torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.0, 0.9)))
        self.optimizer = build(self.model)
        self.balancer = eq.Balancer(method or eq.UPGrad(), model=self.model, metric=self.optimizer, **settings)

    def losses(self, seed):
        x, y = batch(seed=seed)
        return self.model.losses(self.model.features(x), y)

    def balance(self, seed):
        self.optimizer.zero_grad()
        self.balancer(self.losses(seed)).backward()

    def shared(self):
        head = self.model.heads[0].parameters() if isinstance(self.model, Opposed) else ()
        return [*self.model.trunk.parameters(), *head]

    def run(self, steps):
        for seed in range(steps):
            self.balance(seed)
            self.optimizer.step()
        return self

    def by_hand(self, seed):
        """J and the diagonal of D over the trunk, from autograd and the optimizer's state alone."""
        leaves = self.shared()
        rows = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in self.losses(seed).values()]
        groups = {id(leaf): group for group in self.optimizer.param_groups for leaf in group["params"]}
        largest, scales = max(group["lr"] for group in self.optimizer.param_groups), []
        for leaf in leaves:
            group, state = groups[id(leaf)], self.optimizer.state[leaf]
            moments = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
            corrected = moments / (1 - group["betas"][1] ** state["step"].item())
            scales.append((group["lr"] / largest / (corrected.sqrt() + group["eps"])).flatten())
        return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]), torch.cat(scales)


OPTIMIZERS = {
    "Adam": None,
    "AdamW with amsgrad": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True),
    "two rates": lambda model: torch.optim.Adam(
        [
            {"params": model.trunk[0].parameters(), "lr": 1e-3},
            {"params": [*model.trunk[2:].parameters(), *model.heads.parameters()]},
        ],
        lr=1e-2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_gramian_is_that_of_the_formula(name):
    loop = Loop(optimizer=OPTIMIZERS[name]).run(3)
    jacobian, scale = loop.by_hand(seed=9)
    loop.balance(seed=9)
    torch.testing.assert_close(loop.balancer.last.gramian, (jacobian * scale) @ jacobian.T, rtol=1e-10, atol=0)
    wanted = eq.weights(eq.UPGrad(), ((jacobian * scale) @ jacobian.T).numpy())
    assert loop.balancer.last.weights.tolist() == pytest.approx(np.asarray(wanted).tolist(), rel=1e-6)


def test_large_layers_give_the_same_as_small_ones():
    class Wide(TwoPart):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(5, 300), nn.Tanh(), nn.Linear(300, 6)).double()

    loop = Loop(model=Wide()).run(2)
    jacobian, scale = loop.by_hand(seed=9)
    loop.balance(seed=9)
    torch.testing.assert_close(loop.balancer.last.gramian, (jacobian * scale) @ jacobian.T, rtol=1e-10, atol=0)
    assert all(layer.engine != "ghost" for layer in loop.balancer.plan.layers)


def test_the_promise_holds_for_the_step_that_the_metric_describes():
    kept, plain = Loop(eq.MGDA(), model=Opposed()), Loop(eq.MGDA(), model=Opposed())
    plain.balancer = eq.Balancer(eq.MGDA(), model=plain.model)
    raised = []
    for loop in (kept, plain):
        loop.run(3)
        smallest = 0.0
        for seed in range(3, 40):
            jacobian, scale = loop.by_hand(seed)
            loop.balance(seed)
            direction = torch.cat([leaf.grad.flatten() for leaf in loop.shared()])
            along = jacobian @ (scale * direction)
            smallest = min(smallest, float((along / (jacobian.norm(dim=1) * (scale * direction).norm())).min()))
            loop.optimizer.step()
        raised.append(smallest)
    assert raised[0] > -1e-9
    assert raised[1] < -1e-3


def test_before_the_first_step_the_plain_gramian_is_used():
    loop = Loop()
    leaves = list(loop.model.trunk.parameters())
    rows = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in loop.losses(0).values()]
    jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
    loop.balance(0)
    torch.testing.assert_close(loop.balancer.last.gramian, jacobian @ jacobian.T, rtol=1e-12, atol=0)


def test_what_has_no_second_moment_is_left_out():
    loop = Loop().run(2)
    first, second = loop.model.trunk[0].weight, loop.model.trunk[2].weight
    del loop.optimizer.state[first]
    loop.optimizer.state[second]["exp_avg_sq"][0] = 0.0
    leaves = [loop.model.trunk[0].bias, second, loop.model.trunk[2].bias]
    rows = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in loop.losses(9).values()]
    wanted = 0.0
    for number, leaf in enumerate(leaves):
        state = loop.optimizer.state[leaf]
        scale = 1 / ((state["exp_avg_sq"] / (1 - 0.9**2)).sqrt() + 1e-8)
        scale = torch.where(state["exp_avg_sq"] > 0, scale, 0.0).flatten()
        block = torch.stack([row[number].flatten() for row in rows])
        wanted = wanted + (block * scale) @ block.T
    loop.balance(9)
    torch.testing.assert_close(loop.balancer.last.gramian, wanted, rtol=1e-10, atol=0)


def test_micro_batches_give_what_one_batch_gives():
    one, several = Loop().run(2), Loop().run(2)
    one.balance(9)
    x, y = batch(seed=9)
    several.optimizer.zero_grad()
    with several.balancer.accumulate(2):
        for part in (slice(0, 8), slice(8, 16)):
            several.balancer(several.model.losses(several.model.features(x[part]), y[part])).backward()
    torch.testing.assert_close(several.balancer.last.gramian, one.balancer.last.gramian, rtol=1e-9, atol=0)


def test_a_copy_of_model_optimizer_and_balancer_is_whole():
    loop = Loop().run(2)
    twin = copy.deepcopy(loop)
    assert twin.balancer.settings.metric.optimizer is twin.optimizer
    for one in (loop, twin):
        one.balance(9)
    torch.testing.assert_close(twin.balancer.last.gramian, loop.balancer.last.gramian, rtol=1e-12, atol=0)
    assert copy.deepcopy(loop.balancer).settings.metric.optimizer is loop.optimizer


def test_a_record_says_that_its_gradients_are_in_the_metric(tmp_path):
    loop = Loop()
    eq.record(loop.balancer, tmp_path / "run", every=1)
    loop.run(1)
    record = read_training(tmp_path / "run")
    assert record.config.metric == "Adam"
    assert record.lines[0].gradients.at == "shared parameters, in the optimizer's metric"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (lambda leaves: torch.optim.SGD(leaves, lr=0.1), "SGD keeps none"),
        (lambda leaves: torch.optim.Adamax(leaves), "Adamax keeps none"),
        (lambda leaves: "adam", "got 'adam'"),
    ],
    ids=["SGD", "Adamax", "text"],
)
def test_optimizers_without_second_moments_are_refused_by_name(kind, words):
    with pytest.raises(SettingError, match="`metric` must be a torch.optim.Adam or AdamW.*" + words):
        eq.Balancer(eq.MGDA(), metric=kind(TwoPart().parameters()))


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        (eq.LinearScalarization(), {}, "LinearScalarization is not a method on the Gramian"),
        (eq.GradDrop(), {}, "GradDrop is not a method on the Gramian"),
        (eq.MGDAUB(), {}, "MGDAUB is not a method on the Gramian of the parameters"),
        (eq.MGDA(), {"gradients": eq.Sketch(8)}, "forms no gradients that could be scaled"),
        (eq.MGDA(), {"granularity": "tensor"}, "one metric for the whole model"),
    ],
    ids=["loss method", "Jacobian method", "features", "sketch", "groups"],
)
def test_what_has_no_gramian_to_measure_is_refused(method, settings, words):
    with pytest.raises(SettingError, match=words):
        eq.Balancer(method, metric=torch.optim.Adam(TwoPart().parameters()), **settings)


def test_an_optimizer_that_lacks_shared_parameters_is_refused_with_their_names():
    loop = Loop(optimizer=lambda model: torch.optim.Adam(model.heads.parameters()))
    with pytest.raises(SettingError, match=r"4 of 4 are not in its groups: .*'trunk\.0\.weight'"):
        loop.balance(0)
    assert loop.balancer.steps == 0
