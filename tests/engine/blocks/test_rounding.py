"""Products in the layer's precision: how wrong they are, and when they are made again in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import equipoise as eq
from equipoise.engine import Ownership
from equipoise.engine.blocks.ghost import LinearRows
from equipoise.engine.blocks.products import can_be_trusted
from equipoise.engine.passes.exact import differentiate


def exact_products(part):
    """From weight gradients formed in float64, slow and obvious."""
    formed = torch.stack([(part.inputs.double().T @ delta.double()).flatten() for delta in part.deltas])
    return formed @ formed.T


def relative(found, wanted):
    sizes = wanted.diagonal().sqrt()
    return (found - wanted).abs() / (sizes[:, None] * sizes)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(8, 120),
    fan_in=st.integers(2, 150),
    fan_out=st.integers(1, 80),
    k=st.integers(1, 6),
    dead=st.integers(0, 1),
    scale=st.sampled_from([1e-12, 1.0, 1e8]),
    seed=st.integers(0, 5),
)
def test_the_estimate_bounds_the_error_of_rounded_products(rows, fan_in, fan_out, k, dead, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, fan_in, generator=generator).relu()
    inputs[:, : dead * fan_in // 2] = 0.0  # units that are off for the whole batch: the inputs lose rank
    deltas = [torch.randn(rows, fan_out, generator=generator) * scale for _ in range(k)]
    part = LinearRows(torch.zeros(fan_out, fan_in), inputs, deltas, True)
    found, wanted = part.rounded(), exact_products(part)
    assert found is not None
    products, errors = found
    assert bool((relative(products, wanted).amax(dim=1) <= errors.max()).all())
    assert float(relative(part.gramian(), wanted).max()) < 1e-12


def test_gradients_that_cancel_within_a_layer_are_seen_in_the_estimate():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.ones(64, 32) + 1e-4 * torch.randn(64, 32, generator=generator)
    delta = torch.randn(64, 16, generator=generator)
    plain = LinearRows(torch.zeros(16, 32), inputs, [delta], True).rounded()
    cancelled = LinearRows(torch.zeros(16, 32), inputs, [delta - delta.mean(dim=0)], True).rounded()
    assert plain is not None
    assert cancelled is not None
    assert float(cancelled[1]) > 100 * float(plain[1])


def two_tasks(spread, rows=24):
    """Layers with a quarter as many rows as inputs, and two heads that differ by `spread`."""
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(64, 96), nn.Tanh(), nn.Linear(96, 96), nn.Tanh())
    heads = [nn.Linear(96, 1) for _ in range(2)]
    with torch.no_grad():
        heads[1].weight.copy_(heads[0].weight + spread * heads[1].weight)
        heads[1].bias.copy_(heads[0].bias)
    features = trunk(torch.randn(rows, 64))
    target = torch.randn(rows)
    losses = [(head(features)[:, 0] - target).square().mean() for head in heads]
    return trunk, losses, features


def found_and_wanted(spread, allow, rows=24):
    trunk, losses, features = two_tasks(spread, rows)
    found = differentiate(losses, [0, 1], Ownership(trunk), features=[features], retain_graph=True, allow=allow)
    parts = [exact_products(part) for part in found.parts if isinstance(part, LinearRows)]
    rest = [part.gramian() for part in found.parts if not isinstance(part, LinearRows)]
    assert len(parts) == 2
    return found.gramian(), sum(parts) + sum(rest)


@pytest.mark.parametrize("spread", [1e-2, 1e-3, 1e-4])
def test_tasks_that_nearly_agree_get_float64_products(spread):
    found, wanted = found_and_wanted(spread, ("ghost",))
    assert float(relative(found, wanted).max()) < 1e-12
    apart = torch.tensor([1.0, -1.0], dtype=torch.float64)  # what methods that invert the Gramian look at
    assert float(apart @ found @ apart) == pytest.approx(float(apart @ wanted @ apart), rel=1e-4)


def test_tasks_that_differ_get_products_as_exact_as_their_gradients():
    found, wanted = found_and_wanted(1.0, ("ghost",))
    assert 1e-12 < float(relative(found, wanted).max()) < 1e-6  # float32 was good enough, and was taken


def test_products_are_in_float64_at_once_where_that_costs_little_beside_the_passes():
    found, wanted = found_and_wanted(1.0, ("ghost",), rows=8)
    assert float(relative(found, wanted).max()) < 1e-12


def test_a_gramian_is_trusted_by_its_smallest_eigenvalue_and_rows_of_zeros_do_not_count():
    error = torch.tensor([1e-6, 0.0], dtype=torch.float64)
    near = torch.tensor([[4.0, 1.9999], [1.9999, 1.0]], dtype=torch.float64)
    zero = torch.tensor([[4.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert not can_be_trusted(near, [error])
    assert can_be_trusted(near, [error * 1e-3])
    assert can_be_trusted(zero, [error])
    assert can_be_trusted(torch.zeros(2, 2, dtype=torch.float64), [torch.zeros(2, dtype=torch.float64)])
    assert not can_be_trusted(zero, [torch.tensor([torch.inf, 0.0])])
    assert not can_be_trusted(zero * torch.nan, [error])


def test_products_that_torch_may_shorten_are_not_used():
    part = LinearRows(torch.zeros(4, 6), torch.randn(5, 6), [torch.randn(5, 4)], True)
    assert part.rounded() is not None
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert part.rounded() is None
    finally:
        torch.set_float32_matmul_precision(before)


def test_float64_products_can_be_asked_for():
    found = {}
    for products in ("certified", "float64"):
        trunk, losses, features = two_tasks(1.0)
        balancer = eq.Balancer(eq.MGDA(), gradients=eq.Exact(products=products))
        balancer(losses, features=features)
        assert "ghost" in str(balancer.plan)
        found[products] = balancer.last.gramian
    trunk, losses, features = two_tasks(1.0)
    tools = Ownership(trunk)
    parts = differentiate(losses, [0, 1], tools, features=[features], retain_graph=True, allow=("ghost",)).parts
    wanted = sum(exact_products(part) if isinstance(part, LinearRows) else part.gramian() for part in parts)
    assert float(relative(found["float64"], wanted).max()) < 1e-10
    assert 1e-10 < float(relative(found["certified"], wanted).max()) < 1e-6  # float32 was good enough, and was taken


@pytest.mark.parametrize("granularity", ["model", "module"])
def test_float64_products_are_made_at_every_granularity(granularity):
    trunk, losses, features = two_tasks(1.0)
    modes = eq.Exact(), eq.Exact(products="float64")
    found = []
    for mode in modes:
        balancer = eq.Balancer(eq.MGDA(), model=trunk, gradients=mode, granularity=granularity)
        balancer(losses, features=features, retain_graph=True)
        found.append(balancer.last.weights)
    rough, exact = found
    assert not torch.equal(rough, exact)  # so the setting reaches the products
    torch.testing.assert_close(rough, exact, rtol=0, atol=1e-5)


def test_products_that_were_made_twice_are_counted():
    for spread, times in ((1.0, 0), (1e-4, 1)):
        _, losses, features = two_tasks(spread)
        balancer = eq.Balancer(eq.MGDA())
        balancer(losses, features=features)
        assert balancer.counts["products again in float64"] == times


def test_products_at_the_features_that_were_made_twice_are_counted():
    for spread, times in ((1.0, 0), (1e-4, 1)):
        torch.manual_seed(0)
        z = nn.Linear(8, 16)(torch.randn(20, 8))
        weight = torch.randn(2, 16)
        weight[1] = weight[0] + spread * weight[1]
        losses = [torch.tanh(z).mv(row).square().mean() for row in weight]  # no matrix product with a head's weight
        balancer = eq.Balancer(eq.MGDA(), gradients=eq.Features())
        balancer(losses, features=z)
        assert balancer.counts["products again in float64"] == times


def test_other_words_for_products_are_refused():
    with pytest.raises(eq.errors.SettingError, match="'certified' or 'float64'"):
        eq.Exact(products="float16")
