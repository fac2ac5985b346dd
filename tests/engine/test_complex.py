"""Complex parameters count as pairs of reals: the same network with real pairs is the oracle."""

import pytest
import torch
from torch import Tensor, nn

import equipoise as eq
from equipoise.engine.blocks.dense import Jacobian
from equipoise.engine.blocks.task_gradients import nonfinite_heads
from equipoise.engine.reals import of_reals
from equipoise.solve import Status

from .comparing import every_method


class Spectral(nn.Module):
    """Complex layers and complex heads; `pairs` keeps the same numbers as real parameters."""

    def __init__(self, *, pairs: bool, k: int = 3):
        super().__init__()
        self.pairs = pairs
        generator = torch.Generator().manual_seed(3)
        shapes = {"first": (5, 6), "second": (6, 4), "bias": (4,)} | {f"head{i}": (4,) for i in range(k)}
        for name, shape in shapes.items():
            values = torch.view_as_complex(torch.randn(*shape, 2, generator=generator, dtype=torch.float64))
            if pairs:
                values = torch.view_as_real(values).clone()
            setattr(self, name, nn.Parameter(values))
        self.k = k

    def get(self, name: str) -> Tensor:
        parameter = getattr(self, name)
        return torch.view_as_complex(parameter) if self.pairs else parameter

    def features(self, x: Tensor, *, real: bool) -> Tensor:
        z = (x.to(torch.complex128) @ self.get("first")).tanh() @ self.get("second") + self.get("bias")
        return z.abs() if real else z

    def losses(self, z: Tensor) -> dict[str, Tensor]:
        found = {}
        for i in range(self.k):
            out = z.to(torch.complex128) @ self.get(f"head{i}")
            found[f"t{i}"] = (out.real - i).square().mean() + (out.imag + 0.5).square().mean()
        return found


def given(n: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_pairs(model: Spectral) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in model.named_parameters()}
    return {name: torch.view_as_real(g.resolve_conj()) if g.is_complex() else g for name, g in found.items()}


def compare(method, settings, *, real=True, features=False, steps=2, second=False, micro=1):
    found = []
    for pairs in (False, True):
        model = Spectral(pairs=pairs)
        chosen = {name: value(model) if callable(value) else value for name, value in settings.items()}
        names = tuple(f"t{i}" for i in range(3)) if method.trains else None
        clock = {"steps_per_epoch": 1} if method.per_epoch else {}
        balancer = eq.Balancer(method, tasks=names, model=model, **clock, **chosen)
        if micro > 1:
            balancer.accumulate(micro)
        seen = []
        for step in range(steps):
            model.zero_grad()
            for number in range(micro):
                z = model.features(given(seed=10 * step + number), real=real)
                more = {}
                if second:
                    more = {"second": model.losses(model.features(given(seed=100 + step), real=real))}
                balancer(model.losses(z), features=z if features else None, **more).backward()
            seen.append(as_pairs(model))
            with torch.no_grad():
                for p in model.parameters():
                    p.sub_(0.02 * p.grad)
        found.append((seen, balancer))
    (ours, one), (theirs, two) = found
    for mine, wanted in zip(ours, theirs, strict=True):
        for name in wanted:
            torch.testing.assert_close(mine[name], wanted[name], rtol=1e-7, atol=1e-9, msg=name)
    if two.last.gramian is not None:
        torch.testing.assert_close(one.last.gramian, two.last.gramian, rtol=1e-9, atol=1e-11)
    assert one.plan.engine == two.plan.engine or features
    return one


@pytest.mark.parametrize("name", sorted(every_method()))
def test_every_method_treats_a_complex_parameter_as_a_pair(name):
    method = every_method()[name]
    features = method.needs == "features"
    layer = {"layer": lambda model: [model.second]} if method.on_layer else {}
    compare(method, layer, features=features, real=not features)


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mode": "recompute"},
        {"heads": "weighted"},
        {"granularity": "tensor"},
        {"gradients": eq.Sketch(64)},
        {"gradients": eq.Every(2)},
        {"gradients": lambda model: eq.LastLayer([model.second, model.bias])},
        {"memory_limit": 4000.0},
        {"nonfinite": "skip"},
        {"shared": lambda model: [model.first]},
    ],
    ids=lambda settings: "-".join(
        f"{name} {'given' if callable(value) else value}" for name, value in settings.items()
    ),
)
def test_every_engine_does(settings, features, real):
    compare(eq.CAGrad(), settings, features=features, real=real)


def test_features_that_are_complex_are_compared_as_pairs():
    balancer = compare(eq.MGDA(), {"gradients": eq.Features()}, features=True, real=False)
    assert balancer.plan.engine == "features"


def test_a_second_batch_and_micro_batches_do():
    compare(eq.MoDo(), {}, second=True)
    compare(eq.MGDA(), {}, micro=3)
    compare(eq.MGDA(), {"gradients": eq.Sketch(64)}, micro=3)
    compare(eq.MoCo(), {}, micro=3)


def test_dependent_tasks_at_complex_features_are_found_and_right():
    model = Spectral(pairs=False)
    balancer = eq.Balancer(eq.UPGrad())
    for _ in range(2):
        z = model.features(given(), real=False)
        one, two = z.real.square().mean(), (z.imag - z.real - 1).square().mean()
        losses = [one, two, 2 * one + two]
        trunk = [model.first, model.second, model.bias]
        rows = [torch.autograd.grad(v, trunk, retain_graph=True) for v in losses]
        flat = torch.stack([torch.cat([torch.view_as_real(g.resolve_conj()).flatten() for g in row]) for row in rows])
        balancer(losses, features=z).backward()
        torch.testing.assert_close(balancer.last.gramian, flat @ flat.T)
    assert balancer.plan.passes == 2


def test_imaginary_gradients_alone_are_seen():
    t = nn.Parameter(torch.tensor([1j, 2j], dtype=torch.cfloat))
    balancer = eq.Balancer(eq.MGDA())
    balancer([t.imag.sum(), -3 * t.imag.sum() + t.imag[0]]).backward()
    assert balancer.last.gramian.tolist() == [[2.0, -5.0], [-5.0, 13.0]]
    assert balancer.last.status is Status.SOLVED


def test_nan_in_an_imaginary_part_is_found():
    gradient = torch.complex(torch.ones(3), torch.tensor([0.0, torch.nan, 0.0]))
    parameter = nn.Parameter(torch.zeros(3, dtype=torch.cfloat))
    assert nonfinite_heads([(parameter, [(0, gradient.conj()), (1, torch.ones(3, dtype=torch.cfloat))])]) == {0: 0}


def test_conjugates_that_were_not_carried_out_and_wide_blocks_are_read_right():
    a, b = (torch.randn(70_000, dtype=torch.cdouble) for _ in range(2))
    parameter = nn.Parameter(torch.zeros(70_000, dtype=torch.cdouble))
    rows = [[a.conj()], [b]] * 3  # more than are copied together
    wanted = torch.view_as_real(a.conj().resolve_conj()).flatten() @ torch.view_as_real(b).flatten()
    found = Jacobian([parameter], rows)
    assert found.gramian()[0, 1].item() == pytest.approx(wanted.item(), rel=1e-10)
    few = Jacobian([parameter], rows[:2])
    assert few.gramian()[0, 1].item() == pytest.approx(wanted.item(), rel=1e-10)
    flat = few.flat()
    assert flat.shape == (2, 140_000)
    torch.testing.assert_close(of_reals(flat[0], a), a.conj().resolve_conj())


def test_a_profile_compares_complex_gradients():
    model = Spectral(pairs=False)
    x = given()
    table = eq.profile(model, lambda: model.losses(model.features(x, real=True)), modes=[eq.Exact()], repeats=1)
    assert table.rows[1].cosine == pytest.approx(1.0)
