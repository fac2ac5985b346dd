"""Half precision: an internal scale that is undone exactly, products never in half, a GradScaler that sees overflow."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.engine.graph.inspection import inspect_graph
from equipoise.errors import NonFiniteError
from tests.engine.problems import TwoPart, batch, dense_gradients

CPU = torch.device("cpu")


def autocast_losses(model, x, y, dtype, factor=1.0):
    with torch.autocast("cpu", dtype=dtype):
        z = model.features(x)
        losses = model.losses(z, y)
    return z, {name: loss.float() * factor for name, loss in losses.items()}


def exact_gramian(model, x, y, factor=1.0):
    rows = dense_gradients(model, lambda: {k: v * factor for k, v in model.losses(model.features(x), y).items()})
    flat = torch.stack([torch.cat([g.double().flatten() for n, g in r.items() if n.startswith("trunk")]) for r in rows])
    return flat @ flat.T


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e-5, 1e-6])
def test_small_losses_in_fp16_keep_their_gramian(factor, two_phase):
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    wanted = exact_gramian(model, x, y, factor)
    balancer = eq.Balancer(eq.MGDA())
    z, losses = autocast_losses(model, x, y, torch.float16, factor)
    balancer(losses, features=z if two_phase else None).backward()
    error = (balancer.last.gramian - wanted).norm() / wanted.norm()
    assert error < 0.02  # fp16 has 11 bits; without a scale: 24 % at 1e-5 and everything at 1e-6
    assert balancer.last.gramian.dtype == torch.float64
    assert balancer.last.weights.sum().item() == pytest.approx(1.0)


def test_without_a_scale_the_same_losses_would_vanish():
    """The trap itself, so that the test above is known to bite."""
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    _, losses = autocast_losses(model, x, y, torch.float16, 1e-6)
    found = torch.autograd.grad(losses["t0"], model.trunk[0].weight)[0]
    exact = torch.autograd.grad(model.losses(model.features(x), y)["t0"] * 1e-6, model.trunk[0].weight)[0]
    assert (found - exact).norm() > 0.2 * exact.norm()


def test_an_overflow_in_a_head_alone_lowers_the_scale_too():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    balancer = eq.Balancer(eq.MGDA())
    _, losses = autocast_losses(model, x, y, torch.float16)
    losses["t0"] = losses["t0"] + (model.heads[0].bias.half() * 3).float().sum()  # 3 * 2^16 is not a float16
    balancer(losses).backward()
    assert balancer.carried.power == 12
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_nan_in_a_head_alone_is_named():
    model, (x, y) = TwoPart(), batch()
    model.heads[1].weight.register_hook(lambda g: g)  # hooks are paused: the NaN must come from the graph
    losses = model.losses(model.features(x), y)
    losses["t1"] = losses["t1"] + (model.heads[1].bias - model.heads[1].bias.detach()).abs().sqrt().sum()
    with pytest.raises(NonFiniteError, match=r"'t1': first in heads\.1\.bias"):
        eq.Balancer(eq.MGDA(), model=model)(losses)


@pytest.mark.parametrize(
    ("method", "mode"),
    [(method, "inject") for method in (eq.MGDA(), eq.PCGrad(), eq.MoCo(), eq.GradDrop())]
    + [(method, "recompute") for method in (eq.MGDA(), eq.PCGrad())],
)
def test_a_power_of_two_is_undone_exactly_where_nothing_rounds(method, mode):
    """A float32 graph with one float16 constant in it: scaled passes must give the very bits of unscaled ones."""
    found = []
    for scaled in (False, True):
        model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
        losses = model.losses(model.features(x), y)
        if scaled:
            token = torch.zeros((), dtype=torch.float16, requires_grad=True)
            losses["t0"] = losses["t0"] + (token * 1).float()
            assert inspect_graph(list(losses.values())).half
        eq.Balancer(method, mode=mode)(losses).backward()
        found.append([p.grad for p in model.parameters()])
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain, rtol=1e-6 if mode == "recompute" else 0, atol=0)


def test_the_scale_is_lowered_until_nothing_overflows_and_is_remembered():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    wanted = exact_gramian(model, x, y, 1e3)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for _ in range(2):
        _, losses = autocast_losses(model, x, y, torch.float16, 1e3)
        balancer(losses)
        assert 0 < balancer.carried.power < 16
        assert (balancer.last.gramian - wanted).norm() / wanted.norm() < 0.02
    fresh = eq.Balancer(eq.MGDA(), model=model)
    fresh.load_state_dict(balancer.state_dict())
    assert fresh.carried.power == balancer.carried.power


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_other_types_are_not_scaled(dtype):
    model, (x, y) = TwoPart(dtype=dtype), batch(dtype=dtype)
    losses = model.losses(model.features(x), y)
    assert not inspect_graph(list(losses.values())).half
    balancer = eq.Balancer(eq.MGDA())
    balancer(losses).backward()
    assert balancer.last.gramian.dtype == torch.float64


def test_bf16_autocast_is_within_its_rounding():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    wanted = exact_gramian(model, x, y)
    balancer = eq.Balancer(eq.MGDA())
    z, losses = autocast_losses(model, x, y, torch.bfloat16)
    balancer(losses, features=z).backward()
    assert (balancer.last.gramian - wanted).norm() / wanted.norm() < 0.05
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())


@pytest.mark.parametrize("method", [eq.MGDA(), eq.MoCo(), eq.OMDTchebycheff()])
def test_a_grad_scaler_skips_an_overflow_backs_off_and_goes_on(method):
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    balancer = eq.Balancer(method, nonfinite="propagate", model=model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    moved = []
    for step in range(4):
        before = [p.detach().clone() for p in model.parameters()]
        state = {name: tensor.clone() for name, tensor in balancer.state.items()}
        _, losses = autocast_losses(model, x, y, torch.float16)
        if step == 1:
            losses["t2"] = losses["t2"] * torch.inf
        optimizer.zero_grad()
        scaler.scale(balancer(losses)).backward()
        scaler.step(optimizer)
        scaler.update()
        moved.append(any(not torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True)))
        if step == 1:
            assert all(torch.equal(state[name], balancer.state[name]) for name in state)
    assert moved == [True, False, True, True]
    assert scaler.get_scale() == 512.0
    assert balancer.counts["propagated"] == 1


def test_a_gradient_that_overflows_at_any_scale_is_propagated_or_named():
    class Explode(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, upstream):
            return upstream * torch.inf

    for nonfinite in ("propagate", "raise"):
        model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.float16):
            losses = model.losses(Explode.apply(model.features(x)), y)
        balancer = eq.Balancer(eq.MGDA(), nonfinite=nonfinite)
        if nonfinite == "raise":
            with pytest.raises(NonFiniteError, match=r"'t0'.*'t1'.*'t2'"):
                balancer(losses)
        else:
            balancer(losses).backward()
            assert all(torch.isnan(p.grad).all() for p in model.parameters())
        assert balancer.carried.power == 16  # an overflow at every scale says nothing about the scale


def test_the_users_scale_reaches_the_gradients_once():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    found = []
    for factor in (1.0, 4096.0):
        model.zero_grad()
        _, losses = autocast_losses(model, x, y, torch.float16)
        (eq.Balancer(eq.MGDA())(losses) * factor).backward()
        found.append([p.grad.clone() / factor for p in model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("gradients", [eq.Exact(), eq.Every(2), eq.Sketch(64), eq.Features()])
def test_every_mode_trains_under_fp16_autocast(gradients):
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    model.trunk.append(nn.LayerNorm(6))
    balancer = eq.Balancer(eq.CAGrad(), model=model, gradients=gradients)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    values = []
    for _ in range(30):
        z, losses = autocast_losses(model, x, y, torch.float16, 1e-4)
        optimizer.zero_grad()
        loss = balancer(losses, features=z)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        values.append(loss.item())
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("gradients", [eq.Exact(), eq.Features()])
def test_small_gradients_survive_on_their_way_to_the_parameters(gradients):
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    rows = dense_gradients(model, lambda: {k: v * 1e-6 for k, v in model.losses(model.features(x), y).items()})
    balancer = eq.Balancer(eq.MGDA(), gradients=gradients)
    z, losses = autocast_losses(model, x, y, torch.float16, 1e-6)
    balancer(losses, features=z).backward()
    for name, p in model.trunk.named_parameters():
        wanted = sum(a * row[f"trunk.{name}"] for a, row in zip(balancer.last.weights, rows, strict=True))
        assert (p.grad - wanted).norm() < 0.05 * wanted.norm(), name


@pytest.mark.parametrize("inside", [True, False])
def test_an_overflow_inside_the_trunk_is_seen_in_features_mode_too(inside):
    class Amplify(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value, factor):
            ctx.factor = factor
            return value.clone()

        @staticmethod
        def backward(ctx, upstream):
            return upstream * ctx.factor, None

    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.float16):
        z = model.trunk[1:](Amplify.apply(model.trunk[0](x), 1e3 if inside else torch.inf))
        losses = {name: loss.float() for name, loss in model.losses(z, y).items()}
    balancer = eq.Balancer(eq.MGDA(), gradients=eq.Features())
    if not inside:
        with pytest.raises(NonFiniteError, match="once it has gone through the trunk"):
            balancer(losses, features=z)
        return
    balancer(losses, features=z).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert model.trunk[0].weight.grad.abs().max() > 1
