"""Wherever the call stands, our passes and mixtures are those outside of autocast."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.training.recording.gradient_probe import measure_gramian

from .comparing import every_method


def handed_out(method, dtype, *, inside, micro=1, **settings):
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
    heads = nn.ModuleList([nn.Linear(32, 1) for _ in range(2)])
    parameters = [*trunk.parameters(), *heads.parameters()]
    x, y = torch.randn(16 * micro, 8), torch.randn(16 * micro, 2)
    clock = {"steps_per_epoch": 1} if method.per_epoch else {}
    layer = {"layer": trunk[2]} if method.on_layer and "gradients" not in settings else {}
    if settings.get("gradients") == "layer":
        settings["gradients"] = eq.LastLayer(trunk[2])
    balancer = eq.Balancer(method, tasks=("a", "b"), **clock, **layer, **settings)
    if micro > 1:
        balancer.accumulate(micro)
    for _ in range(2):
        for p in parameters:
            p.grad = None
        for i in range(micro):
            with torch.autocast("cpu", dtype=dtype):
                z = trunk(x[i::micro])
                pairs = enumerate("ab")
                losses = {n: 1e-3 * (heads[j](z)[:, 0].float() - y[i::micro, j]).square().mean() for j, n in pairs}
                features = z if method.needs == "features" or settings.get("gradients") == eq.Features() else None
                out = balancer(losses, features=features) if inside else None
                assert torch.is_autocast_enabled("cpu")
            if not inside:
                out = balancer(losses, features=features)
            (1024 * out).backward()
    return [p.grad for p in parameters], out.detach(), balancer


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", sorted(every_method()))
def test_every_method_hands_out_the_same_inside_of_autocast_to_the_bit(name, dtype):
    inside = handed_out(every_method()[name], dtype, inside=True)
    outside = handed_out(every_method()[name], dtype, inside=False)
    assert all(torch.equal(a, b) for a, b in zip(inside[0], outside[0], strict=True))
    assert torch.equal(inside[1], outside[1])
    for key, tensor in outside[2].state.items():
        torch.testing.assert_close(inside[2].state[key], tensor, rtol=0, atol=0, equal_nan=True, msg=key)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "recompute"},
        {"granularity": "tensor"},
        {"gradients": eq.Sketch(64)},
        {"gradients": eq.Features()},
        {"gradients": "layer"},
        {"gradients": eq.Every(2)},
        {"memory_limit": 20_000.0},
        {"micro": 2},
    ],
    ids=str,
)
def test_every_engine_does(settings):
    inside = handed_out(eq.MGDA(), torch.bfloat16, inside=True, **settings)
    outside = handed_out(eq.MGDA(), torch.bfloat16, inside=False, **settings)
    assert all(torch.equal(a, b) for a, b in zip(inside[0], outside[0], strict=True))


def test_a_refused_call_leaves_autocast_as_it_was():
    w = nn.Parameter(torch.ones(2))
    balancer = eq.Balancer(eq.MGDA())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(eq.errors.NonFiniteError):
            balancer([w.sum(), w.sum() * torch.nan])
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_a_recorded_gramian_is_the_same_inside():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 2)), torch.randn(16, 8)
    out = net(x)
    losses = [out[:, 0].square().mean(), (out[:, 1] - 1).square().mean()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = measure_gramian(losses)
    assert torch.equal(inside, measure_gramian(losses))
