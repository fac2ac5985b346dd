"""Streaming: gradients that are dropped after their products, within the memory that is given."""

import pytest
import torch
from torch import nn

from equipoise.engine import Ownership
from equipoise.engine.graph.autograd_graph import read_graph
from equipoise.engine.graph.segments import cut_into_stretches
from equipoise.engine.passes.exact import differentiate
from equipoise.errors import SettingError

K, WIDTH = 4, 32


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x):
        return x + self.inner(x)


def network(*, residual=True, depth=6):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        blocks = [Residual() if residual else nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(depth)]
        model = nn.ModuleDict({"trunk": nn.Sequential(nn.Linear(10, WIDTH), *blocks), "heads": nn.ModuleList()})
        for _ in range(K):
            model["heads"].append(nn.Linear(WIDTH, 1))
    return model.double()


def gradients(model, *, two_phase=True, rows=40, spoil=None, **options):
    z = model["trunk"](torch.randn(rows, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    losses = [(head(z) - i).square().mean() for i, head in enumerate(model["heads"])]
    if spoil is not None:
        losses[spoil] = losses[spoil] + torch.sqrt((model["trunk"][0].weight * 0).sum())
    ownership = Ownership(model, model["trunk"].parameters())
    return differentiate(losses, range(K), ownership, features=(z,) if two_phase else (), **options), ownership


def same(found, wanted):
    torch.testing.assert_close(found.gramian(), wanted.gramian(), rtol=1e-12, atol=1e-14)
    weights = torch.linspace(0.1, 1.0, K, dtype=torch.float64)
    blocks = {id(leaf): block for leaf, block in wanted.combine(weights)}
    mixed = found.combine(weights)
    assert {id(leaf) for leaf, _ in mixed} == set(blocks)
    for leaf, block in mixed:
        torch.testing.assert_close(block, blocks[id(leaf)], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("share", [0.9, 0.6, 0.45])
def test_numbers_are_those_of_plain_passes_within_the_memory_given(share, residual, two_phase):
    model = network(residual=residual)
    wanted, _ = gradients(model, two_phase=two_phase)
    limit = int(share * wanted.plan.memory)
    found, _ = gradients(model, two_phase=two_phase, memory=limit)
    assert found.plan.engine == "streaming"
    assert found.plan.memory <= limit
    if share > 0.5:  # else a block does not fit
        assert "stretches" in found.plan.reason
        assert found.plan.passes == K + 1
    same(found, wanted)


def test_residual_blocks_are_cut_between_blocks_and_every_parameter_lies_in_one_stretch():
    model = network()
    z = model["trunk"](torch.randn(5, 10, dtype=torch.float64))
    graph = read_graph([z])
    stretches = cut_into_stretches(
        graph, K, 8 * K * (2 * WIDTH * 2 * WIDTH + 200 + 20 * WIDTH), z.numel(), torch.Tensor.numel
    )
    assert len(stretches) >= 6
    names = {id(leaf): name for name, leaf in model.named_parameters()}
    held = [names[id(leaf)] for stretch in stretches for leaf in stretch.leaves]
    assert len(held) == len(set(held)) == len(graph.leaves)
    assert all(len(stretch.below) <= 1 for stretch in stretches)
    assert stretches[-1].below == ()


def test_where_the_graph_cannot_be_cut_parameters_are_taken_in_groups():
    model = network(residual=False, depth=2)

    class Dense(nn.Module):  # every layer sees the input: nothing can be cut
        def __init__(self, trunk):
            super().__init__()
            self.trunk = trunk

        def __getitem__(self, number):
            return self.trunk[number]

        def forward(self, x):
            first = self.trunk[0](x)
            second = self.trunk[1](first)
            return self.trunk[2](first + second) + first + second

    model["trunk"] = Dense(model["trunk"])
    wanted, _ = gradients(model, rows=200)
    found, _ = gradients(model, rows=200, memory=int(0.6 * wanted.plan.memory))
    assert "groups of parameters" in found.plan.reason
    assert found.plan.memory <= 0.6 * wanted.plan.memory
    same(found, wanted)


def test_a_limit_that_nothing_fits_into_is_refused_with_the_numbers():
    with pytest.raises(
        SettingError, match=r"4 gradients of trunk\..* alone take \d+ bytes, and the limit is 100: no exact"
    ):
        gradients(network(), memory=100)


def test_groups_of_parameters_and_of_rows_are_those_of_the_whole():
    model = network()
    wanted, _ = gradients(model)
    found, _ = gradients(model, memory=wanted.plan.memory // 2)
    some = found.shared_parameters()[3:7]
    torch.testing.assert_close(found.of(some).gramian(), wanted.of(some).gramian(), rtol=1e-12, atol=1e-14)
    assert len(found.of(some).combine(torch.ones(K, dtype=torch.float64))) == 4
    rows = [3, 1]
    torch.testing.assert_close(found.only(rows).gramian(), wanted.gramian()[rows][:, rows], rtol=1e-12, atol=1e-14)
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    blocks = {id(leaf): block for leaf, block in wanted.only(rows).combine(weights)}
    for leaf, block in found.only(rows).combine(weights):
        torch.testing.assert_close(block, blocks[id(leaf)], rtol=1e-11, atol=1e-13)


def test_nan_is_named_where_it_first_stands_though_the_gradient_is_gone():
    model = network()
    wanted, _ = gradients(model, two_phase=False)
    found, ownership = gradients(model, two_phase=False, spoil=2, memory=wanted.plan.memory // 2)
    assert torch.isnan(found.gramian()[2, 2])
    assert torch.isfinite(found.gramian()[0, 0])
    assert found.first_nonfinite(2, ownership) == "320 of 320 values, first in trunk.0.weight"


def test_a_graph_that_is_kept_serves_a_side_loss():
    model = network()
    wanted, _ = gradients(model)
    z = model["trunk"](torch.randn(40, 10, dtype=torch.float64))
    losses = [(head(z) - i).square().mean() for i, head in enumerate(model["heads"])]
    found = differentiate(
        losses, range(K), Ownership(), features=(z,), memory=wanted.plan.memory // 2, retain_graph=True
    )
    found.combine(torch.ones(K, dtype=torch.float64))
    z.square().mean().backward()
    assert model["trunk"][0].weight.grad is not None
