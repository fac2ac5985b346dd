"""Steps in which there is nothing to balance, or in which nothing moves, are called what they are."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import EquipoiseWarning, InputError, LossError, TaskError
from equipoise.solve import Status

from .comparing import losses_of
from .problems import TwoPart, batch

METHODS = {
    "MGDA": {"method": eq.MGDA()},
    "CAGrad": {"method": eq.CAGrad()},
    "GradVac": {"method": eq.GradVac()},
    "InverseNorm": {"method": eq.InverseNorm()},
    "RGW": {"method": eq.RGW()},
    "GradDrop": {"method": eq.GradDrop()},
    "MoCo": {"method": eq.MoCo()},
    "by tensor": {"method": eq.MGDA(), "granularity": "tensor"},
    "sketch": {"method": eq.MGDA(), "gradients": eq.Sketch(8)},
    "window": {"method": eq.MGDA()},
}


@pytest.mark.parametrize("name", list(METHODS))
def test_a_frozen_trunk_is_not_a_stationary_point(name):
    model, (x, y) = TwoPart(), batch()
    model.trunk.requires_grad_(False)
    balancer = eq.Balancer(**METHODS[name], model=model)
    if name == "window":
        balancer.accumulate(2)
        balancer(losses_of(model, x, y)).backward()
    losses = losses_of(model, x, y)
    balancer(losses).backward()
    assert balancer.last.status is Status.NOTHING_SHARED
    assert balancer.last.status.ok
    assert balancer.counts == {"NOTHING_SHARED": 1}
    for i, head in enumerate(model.heads):  # each task follows its own gradient, at the mean's scale
        (own,) = torch.autograd.grad(losses_of(model, x, y)[f"t{i}"] / 3, [head.weight])
        torch.testing.assert_close(head.weight.grad, own)


def test_a_zero_gradient_on_shared_parameters_is_still_a_stationary_point():
    weight = torch.zeros(2, requires_grad=True)
    balancer = eq.Balancer(eq.MGDA(), shared=[weight])
    balancer([weight.square().sum(), 2 * weight.square().sum()])
    assert balancer.last.status is Status.STATIONARY


def recorded(folder, losses_at, steps=12):
    model, (x, y) = TwoPart(), batch()
    if losses_at is None:
        model.trunk.requires_grad_(False)
    balancer = eq.Balancer(eq.MGDA(), tasks=("t0", "t1", "t2"))
    recorder = eq.record(balancer, folder, every=2)
    for step in range(steps):
        losses = losses_of(model, x, y)
        balancer(losses if losses_at is None else losses_at(step, losses)).backward()
    recorder.close()
    return recorder.notices


def test_batches_of_one_task_each_are_noticed_with_what_to_do(tmp_path):
    def alone(step, losses):
        return {name: loss if name == f"t{step % 3}" else None for name, loss in losses.items()}

    def mixed(step, losses):
        return losses if step == 5 else alone(step, losses)  # step 6 is recorded

    (notice,) = recorded(tmp_path / "alone", alone)
    assert notice.kind == "one task"
    assert "4 recorded steps up to step 6 had one task only ('t0', 't1', 't2')" in notice.words  # said as soon as seen
    assert f"{eq.MGDA()!r} trained like the plain loss of each batch" in notice.words
    assert "balancer.accumulate(number of tasks)" in notice.remedy
    assert not [notice for notice in recorded(tmp_path / "mixed", mixed) if notice.kind == "one task"]


def test_the_remedy_for_batches_of_one_task_works():
    model, other, (x, y) = TwoPart(), TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), tasks=("t0", "t1", "t2"), model=model)
    balancer.accumulate(3)
    for task in balancer.tasks:
        losses = losses_of(model, x, y)
        balancer({name: loss if name == task else None for name, loss in losses.items()}).backward()
    eq.Balancer(eq.MGDA(), model=other)(losses_of(other, x, y)).backward()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-13)


def test_a_run_in_which_nothing_is_shared_is_noticed(tmp_path):
    kinds = [notice.kind for notice in recorded(tmp_path / "frozen", None)]
    assert "nothing shared" in kinds


@pytest.mark.parametrize("held", [True, False])
def test_trained_weights_that_no_optimizer_moves_are_noticed_without_a_recording(held):
    weight = torch.ones((), requires_grad=True)
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("a", "b"))
    optimizer = torch.optim.SGD([weight, *(balancer.parameters() if held else ())], lr=1e-3)

    def train(steps):
        for _ in range(steps):
            balancer([weight.square(), 2 * weight.square()]).backward()
            optimizer.step()
            optimizer.zero_grad()

    train(100)
    if held:
        train(2)
    else:
        with pytest.warns(EquipoiseWarning, match=r"log_variance did not move in 100 steps.*add_param_group"):
            train(1)
        train(150)  # said once


def test_a_tensor_of_losses_and_names_that_are_numbers_are_refused_with_what_to_type():
    model, (x, y) = TwoPart(), batch()
    losses = losses_of(model, x, y)
    stack = torch.stack(list(losses.values()))
    with pytest.raises(LossError, match=r"a tensor of shape \(3,\).*pass list\(losses\)"):
        eq.Balancer(eq.MGDA())(stack)
    balancer = eq.Balancer(eq.MGDA())
    balancer(list(stack), retain_graph=True).backward(retain_graph=True)  # what it says to type
    assert balancer.last.status is Status.SOLVED
    numbered = dict(enumerate(losses.values()))
    with pytest.raises(TaskError, match=r"got 0, 1, 2\. Type \{str\(name\)"):
        eq.Balancer(eq.MGDA())(numbered)
    with pytest.raises(TaskError, match=r"unknown: 0, 1, 2\. Task names are strings: \{str\(name\)"):
        eq.Balancer(eq.MGDA(), tasks=("0", "1", "2"))(numbered)
    eq.Balancer(eq.MGDA(), tasks=("0", "1", "2"))({str(name): loss for name, loss in numbered.items()})


def test_a_graph_that_an_earlier_balancer_freed_is_said_to_be_freed_by_it():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    losses = model.losses(z, y)
    one, two = eq.Balancer(eq.MGDA()), eq.Balancer(eq.MGDA())
    one(losses).backward(retain_graph=True)
    with pytest.raises(InputError, match=r"An earlier balancer\(losses\).*type balancer\(losses, retain_graph=True\)"):
        two([z.square().mean(), z.abs().mean()])
    z = model.features(x)
    one(model.losses(z, y), retain_graph=True).backward()
    two([z.square().mean(), z.abs().mean()]).backward()  # what it says to type


@pytest.mark.parametrize("mode", ["inject", "recompute"])
def test_hooks_on_activations_see_one_pass_a_task_and_those_on_parameters_one_backward(mode):
    """As the docstring says: retain_grad() on an activation gives the sum over tasks, before the passes' weights."""
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    calls, fired = [], []
    z.register_hook(lambda _: calls.append(1))
    model.trunk[0].weight.register_hook(lambda _: fired.append(1))
    eq.Balancer(eq.InverseNorm(), mode=mode)(model.losses(z, y)).backward()
    assert len(calls) == (3 if mode == "inject" else 4)
    assert fired == [1]


def test_a_step_prints_as_a_table():
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    balancer = eq.Balancer(eq.MGDA(), tasks=("depth", "surface\nnormals", "zero"))
    balancer({"depth": 3 * w[0], "surface\nnormals": 4 * w[1], "zero": (0 * w).sum()})
    title, head, *rows = str(balancer.last).splitlines()
    assert title.startswith("3 of 3 tasks, ")
    assert ": solved" in title
    assert head.split() == ["task", "loss", "weight", "gradient", "cosine"]
    # min-norm of (3, 0), (0, 4): weights 16/25 and 9/25, d = (1.92, 1.44), |d| = 2.4, cosines .8 and .6
    assert rows[0].split() == ["depth", "3", "0.64", "3", "0.8"]
    assert rows[1].split() == ["'surface\\nnormals'", "8", "0.36", "4", "0.6"]
    assert rows[2].split() == ["zero", "0", "0", "0", "-"]
    assert repr(balancer.last) == str(balancer.last)
    assert len({len(row) for row in (head, *rows)}) == 1


def test_the_table_of_many_tasks_is_short_and_says_so():
    model = nn.Linear(3, 50)
    balancer = eq.Balancer(eq.LinearScalarization())
    balancer(list(model(torch.ones(2, 3)).square().mean(0)))
    lines = str(balancer.last).splitlines()
    assert len(lines) == 23
    assert lines[-1] == "... and 30 more tasks"
