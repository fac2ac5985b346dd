"""`profile` measures what it says it measures, and leaves everything as it was."""

import math

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.engine.cost.peak_memory import peak_bytes
from equipoise.errors import SettingError
from tests.engine.problems import TwoPart, batch

CPU = torch.device("cpu")


def test_the_table_has_a_row_for_every_mode_and_exact_is_exact():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    modes = [eq.Exact(), eq.Features(), eq.Every(3), eq.Sketch(64), eq.LastLayer(model.trunk[2])]

    def losses():
        z = model.features(x)
        return model.losses(z, y), z

    table = eq.profile(model, losses, modes=modes, repeats=2)
    assert [row.mode for row in table.rows[1:]] == [repr(mode) for mode in modes]
    plain, exact = table.rows[:2]
    assert plain.steps == 1.0
    assert math.isnan(plain.cosine)
    assert exact.cosine == pytest.approx(1.0, abs=1e-6)
    assert all(0.0 < row.cosine <= 1 + 1e-6 and row.steps > 0 and row.memory > 0 for row in table.rows[1:])
    assert all(row.spread[0] <= row.steps <= row.spread[1] for row in table.rows)
    lines = str(table).splitlines()
    assert len({len(line) for line in lines[:7]}) == 1
    assert lines[0].startswith("| gradients")
    assert "MGDA" in lines[-1]
    assert "3 tasks" in lines[-1]


def test_the_cosine_is_that_of_the_directions():
    model, (x, y) = TwoPart(dtype=torch.float64), batch(seed=4)
    directions = []
    for mode in (eq.Exact(), eq.LastLayer(model.trunk[2])):
        model.zero_grad()
        eq.Balancer(eq.MGDA(), gradients=mode)(model.losses(model.features(x), y)).backward()
        directions.append(torch.cat([p.grad.flatten() for p in model.trunk.parameters()]))
    wanted = torch.nn.functional.cosine_similarity(*directions, dim=0).item()
    model.zero_grad()
    table = eq.profile(
        model, lambda: model.losses(model.features(x), y), modes=[eq.LastLayer(model.trunk[2])], repeats=1
    )
    assert table.rows[1].cosine == pytest.approx(wanted, rel=1e-9)
    assert wanted < 0.9999


def test_weights_grow_old_where_parameters_move_far():
    model, (x, y) = TwoPart(dtype=torch.float64), batch()

    def cosine(step_size):
        table = eq.profile(
            model, lambda: model.losses(model.features(x), y), modes=[eq.Every(8)], repeats=1, step_size=step_size
        )
        return table.rows[1].cosine

    assert cosine(1e-6) == pytest.approx(1.0, abs=1e-6)
    assert cosine(0.2) < cosine(1e-6) - 1e-6


def test_everything_is_left_as_it_was():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    model.trunk.insert(1, nn.BatchNorm1d(8))
    model.trunk.insert(2, nn.Dropout(0.5))
    model.heads[0].weight.grad = torch.ones_like(model.heads[0].weight)
    torch.manual_seed(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.random.get_rng_state()
    eq.profile(model, lambda: model.losses(model.features(x), y), repeats=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(random, torch.random.get_rng_state())
    assert torch.equal(model.heads[0].weight.grad, torch.ones_like(model.heads[0].weight))
    assert model.trunk[0].weight.grad is None


def test_a_mode_that_cannot_be_used_is_a_row_that_says_why():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    table = eq.profile(
        model, lambda: list(model.losses(model.features(x), y).values()), modes=[eq.Features(), eq.Exact()], repeats=1
    )
    assert "call balancer(losses, features=...)" in table.rows[1].note
    assert table.rows[2].cosine == pytest.approx(1.0, abs=1e-6)
    assert "refused: " in str(table)
    with pytest.raises(SettingError, match="at least 1"):
        eq.profile(model, lambda: model.losses(model.features(x), y), repeats=0)


def test_a_method_with_trained_state_can_be_profiled():
    model, (x, y) = TwoPart(dtype=torch.float32), batch(dtype=torch.float32)
    table = eq.profile(
        model, lambda: model.losses(model.features(x), y), method=eq.IMTL(), modes=[eq.Exact()], repeats=1
    )
    assert table.rows[1].cosine == pytest.approx(1.0, abs=1e-6)


def test_peak_bytes_counts_what_is_alive_at_once():
    def chain():
        a = torch.zeros(1000)
        for _ in range(5):
            a = a + 1  # the old one dies after the new one is there
        return a.sum()

    assert peak_bytes(chain, CPU) == 8000
    w = torch.zeros(100, 100, requires_grad=True)
    size = peak_bytes(lambda: (w @ w).sum().backward(), CPU)
    assert 3 * 40_000 <= size <= 5 * 40_000  # the product, two gradients, and their sum
    assert peak_bytes(lambda: w.view(-1)[:5], CPU) <= 40_000
