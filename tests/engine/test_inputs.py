"""Leaves that require grad and are no parameters: collocation points, adversarial batches, marked embeddings."""

import gc
import weakref

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.engine.graph.autograd_graph import leaves_behind
from equipoise.engine.graph.ownership import Ownership
from equipoise.training.recording.gradient_probe import measure_gramian

from .problems import TwoPart, batch


def task_losses(model, x, y, *, skip=False):
    """Three tasks; with `skip` the heads see the input beside the features."""
    z = model.features(x)
    seen = z + x.sum(1, keepdim=True) if skip else z
    return z, {f"t{i}": (head(seen)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(model.heads)}


def by_hand(model, x, y, skip):
    """Gramian over the trunk, each head's gradient, and each task's gradient at the input."""
    _, losses = task_losses(model, x, y, skip=skip)
    trunk = list(model.trunk.parameters())
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(v, trunk, retain_graph=True)]) for v in losses.values()]
    at_x = [torch.autograd.grad(v, x, retain_graph=True)[0] for v in losses.values()]
    jacobian = torch.stack(rows)
    return jacobian, torch.stack(at_x)


WAYS = [
    ({}, False),
    ({}, True),
    ({"mode": "recompute"}, True),
    ({"heads": "weighted"}, True),
    ({"heads": "weighted", "mode": "recompute"}, True),
    ({"gradients": eq.Sketch(1 << 16)}, True),
    ({"gradients": eq.Sketch(1 << 16), "heads": "weighted"}, False),
    ({"memory_limit": 2000.0}, True),
    ({"scale": "sum"}, True),
    ({"gradients": "layer"}, True),
    ({"gradients": "layer", "heads": "weighted"}, True),
    ({"gradients": eq.Features()}, True),
    ({"gradients": eq.Features(), "heads": "weighted"}, True),
    ({"gradients": eq.Features(), "mode": "recompute"}, True),
]


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(("settings", "with_features"), WAYS, ids=str)
def test_an_input_gets_the_means_gradient_and_enters_no_gramian(settings, with_features, skip):
    model, (x, y) = TwoPart(), batch()
    x.requires_grad_()
    jacobian, at_x = by_hand(model, x, y, skip)
    settings = dict(settings)
    if settings.get("gradients") == "layer":
        settings["gradients"] = eq.LastLayer(model.trunk)
    balancer = eq.Balancer(eq.NashMTL(), model=model, **{"heads": "own"} | settings)
    plain = TwoPart()
    plain.load_state_dict(model.state_dict())
    if settings.get("gradients") and isinstance(settings["gradients"], eq.LastLayer):
        settings["gradients"] = eq.LastLayer(plain.trunk)
    unmarked = eq.Balancer(eq.NashMTL(), model=plain, **{"heads": "own"} | settings)
    for _ in range(3):  # ownership is learned in the first
        x.grad = None
        model.zero_grad()
        plain.zero_grad()
        z, losses = task_losses(model, x, y, skip=skip)
        balancer(losses, features=z if with_features else None).backward()
        z, losses = task_losses(plain, x.detach(), y, skip=skip)
        unmarked(losses, features=z if with_features else None).backward()
        scale = 3 if settings.get("scale") == "sum" else 1
        torch.testing.assert_close(x.grad, scale * at_x.mean(0), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(balancer.last.gramian, unmarked.last.gramian, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(balancer.last.weights, unmarked.last.weights, rtol=1e-7, atol=1e-10)
        for p, q in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-7, atol=1e-10)
    if not isinstance(settings.get("gradients"), eq.Features):
        torch.testing.assert_close(
            balancer.last.gramian, jacobian @ jacobian.T, rtol=1e-9 if "gradients" not in settings else 0.1, atol=1e-9
        )


def test_an_input_of_its_own_for_each_task_gets_the_means_gradient():
    """Tasks that own their rows of the batch (the separable engine's case), the input marked."""
    torch.manual_seed(0)
    trunk, heads = (
        nn.Sequential(nn.Linear(5, 8), nn.Tanh()).double(),
        nn.ModuleList([nn.Linear(8, 1) for _ in range(3)]),
    )
    heads.double()
    x = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    balancer = eq.Balancer(eq.MGDA())
    for _ in range(2):
        x.grad = None
        z = trunk(x)
        losses = [head(z[4 * i : 4 * i + 4]).square().mean() for i, head in enumerate(heads)]
        mean = torch.autograd.grad(sum(losses) / 3, x, retain_graph=True)[0]
        rows = torch.stack(
            [
                torch.cat([g.flatten() for g in torch.autograd.grad(v, list(trunk.parameters()), retain_graph=True)])
                for v in losses
            ]
        )
        balancer(losses, features=z).backward()
        torch.testing.assert_close(x.grad, mean)
        torch.testing.assert_close(balancer.last.gramian, rows @ rows.T)


def test_tasks_that_depend_on_each_other_leave_the_input_its_mean():
    model, (x, y) = TwoPart(k=3), batch()
    x.requires_grad_()
    balancer = eq.Balancer(eq.MGDA())
    for _ in range(3):
        x.grad = None
        z = model.features(x)
        losses = [z.sum(1).square().mean(), 3 * z.sum(1).square().mean(), (z - y[:, :1]).abs().mean()]
        mean = torch.autograd.grad(sum(losses) / 3, x, retain_graph=True)[0]
        balancer(losses, features=z).backward()
        torch.testing.assert_close(x.grad, mean)


@pytest.mark.parametrize("heads", ["own", "weighted"])
def test_weights_that_serve_again_leave_the_input_its_mean_and_are_reused(heads):
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.Every(3), heads=heads)
    engines = []
    for seed in range(4):
        x, y = batch(seed=seed)
        x.requires_grad_()  # a new one in each step
        _, at_x = by_hand(model, x, y, False)
        balancer(task_losses(model, x, y)[1]).backward()
        engines.append(balancer.plan.engine)
        torch.testing.assert_close(x.grad, at_x.mean(0))
    assert engines == ["sequential", "reused", "reused", "sequential"]


@pytest.mark.parametrize("gradients", [eq.Exact(), eq.Sketch(64)])
def test_inputs_of_micro_batches_get_the_gradient_of_the_windows_mean(gradients):
    model, (x, y) = TwoPart(), batch()
    parts = [x[i::4].clone().requires_grad_() for i in range(4)]
    balancer = eq.Balancer(eq.MGDA(), gradients=gradients)
    with balancer.accumulate(4):
        for i, part in enumerate(parts):
            balancer(task_losses(model, part, y[i::4])[1]).backward()
    for i, part in enumerate(parts):
        _, at_x = by_hand(model, part, y[i::4], False)
        torch.testing.assert_close(part.grad, at_x.mean(0) / 4)


@pytest.mark.parametrize("method", [eq.MGDA(), eq.MoCo(), eq.DBMTL(), eq.LinearScalarization()])
@pytest.mark.parametrize("way", ["plain", "shared", "model", "tensor", "second"])
def test_nothing_of_a_step_is_kept(method, way):
    if way == "tensor" and not isinstance(method, eq.MGDA):
        pytest.skip("groups are for methods on the Gramian")
    if way == "second":
        method = eq.MoDo()
    model = TwoPart()
    settings = {
        "shared": {"shared": model.trunk},
        "model": {"model": model},
        "tensor": {"granularity": "tensor"},
    }.get(way, {})
    balancer = eq.Balancer(method, **settings)
    seen, sizes = [], []
    for seed in range(4):
        x, y = batch(seed=seed)
        x.requires_grad_()
        more = {} if way != "second" else {"second": task_losses(model, x, y)[1]}
        balancer(task_losses(model, x, y)[1], **more).backward()
        seen.append(weakref.ref(x))
        sizes.append(sum(v.numel() for v in balancer.state.values()))
        del x, more
    gc.collect()
    assert [ref() for ref in seen] == [None] * 4
    assert len(set(sizes)) == 1
    assert len(balancer.ownership.reached) <= len(list(model.parameters()))


def test_ownership_keeps_no_parameter_alive_and_forgets_its_identity():
    ownership = Ownership()
    gone = nn.Parameter(torch.ones(3))
    ownership.meet([gone], complete=True)
    ownership.reach(gone, [(0, torch.ones(3)), (1, torch.ones(3))])
    assert ownership.is_shared(gone)
    key = id(gone)
    del gone
    others = []
    while len(others) < 200 and not any(id(other) == key for other in others):
        others.append(nn.Parameter(torch.ones(3)))  # one of them is likely to get the same identity
    ownership.meet(others, complete=True)
    assert not any(ownership.is_shared(other) for other in others)
    assert ownership.name(others[0]) == "parameter 1 (3,)"


def test_where_nothing_is_a_parameter_every_leaf_is_balanced():
    torch.manual_seed(0)
    w, x = torch.randn(3, dtype=torch.float64, requires_grad=True), torch.randn(8, 3, dtype=torch.float64)
    x.requires_grad_()
    o = x @ w
    losses = [o.square().mean(), (o - 1).square().mean()]
    rows = [torch.cat([g.flatten() for g in torch.autograd.grad(v, [w, x], retain_graph=True)]) for v in losses]
    balancer = eq.Balancer(eq.MGDA())
    balancer(losses).backward()
    jacobian = torch.stack(rows)
    torch.testing.assert_close(balancer.last.gramian, jacobian @ jacobian.T)
    torch.testing.assert_close(torch.cat([w.grad, x.grad.flatten()]), eq.direction(eq.MGDA(), jacobian))


def test_plain_tensors_that_shared_names_are_balanced_beside_modules():
    torch.manual_seed(0)
    w, head = torch.randn(5, 4, dtype=torch.float64, requires_grad=True), nn.Linear(4, 2).double()
    x = torch.randn(8, 5, dtype=torch.float64, requires_grad=True)
    balancer = eq.Balancer(eq.MGDA(), shared=[w])
    o = head((x @ w).tanh())
    losses = [o[:, 0].square().mean(), (o[:, 1] - 1).square().mean()]
    rows = torch.stack([torch.autograd.grad(v, w, retain_graph=True)[0].flatten() for v in losses])
    mean = torch.autograd.grad(sum(losses) / 2, [x, head.weight], retain_graph=True)
    balancer(losses).backward()
    torch.testing.assert_close(balancer.last.gramian, rows @ rows.T)
    torch.testing.assert_close(x.grad, mean[0])
    torch.testing.assert_close(head.weight.grad, mean[1])


def test_functional_code_that_makes_its_tensors_anew_keeps_names_and_state_of_constant_size():
    torch.manual_seed(0)
    x, w = torch.randn(8, 5, dtype=torch.float64), [torch.randn(5, 4).double(), torch.randn(4, 2).double()]
    balancer = eq.Balancer(eq.MoCo())
    sizes = []
    for _ in range(6):
        w = [part.detach().requires_grad_() for part in w]
        o = (x @ w[0]).tanh() @ w[1]
        balancer([o[:, 0].square().mean(), (o - 1).square().mean()]).backward()
        w = [part - 0.1 * part.grad for part in w]
        del o
        sizes.append(balancer.state["tracked"].shape[1])
    assert sizes == [28] * 6
    assert sorted(balancer.ownership.reached) == ["parameter 0 (5, 4)", "parameter 1 (4, 2)"]


def test_a_recorded_gramian_leaves_inputs_out():
    model, (x, y) = TwoPart(), batch()
    x.requires_grad_()
    jacobian, _ = by_hand(model, x, y, False)
    found = measure_gramian(list(task_losses(model, x, y)[1].values()))
    torch.testing.assert_close(found, jacobian @ jacobian.T)


def test_a_bad_gradient_at_an_input_is_named():
    model, (x, y) = TwoPart(), batch()
    x.requires_grad_()
    _, losses = task_losses(model, x, y)
    losses["t1"] = losses["t1"] + ((x - x.detach()).abs().sqrt()).sum()  # its derivative at 0 is no number
    with pytest.raises(eq.errors.NonFiniteError, match=r"'t1': first in an input of shape \(16, 5\)"):
        eq.Balancer(eq.MGDA())(losses)


def test_hooks_on_an_input_fire_once():
    model, (x, y) = TwoPart(), batch()
    x.requires_grad_()
    fired = []
    x.register_hook(lambda g: fired.append(g.clone()))
    _, at_x = by_hand(model, x, y, True)
    fired.clear()
    z, losses = task_losses(model, x, y, skip=True)
    eq.Balancer(eq.MGDA())(losses, features=z).backward()
    assert len(fired) == 1
    torch.testing.assert_close(fired[0], at_x.mean(0))
    assert len(leaves_behind([z])) == 5
