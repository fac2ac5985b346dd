"""Approximate gradients by name: what each one's direction is, how far off, and that it says so."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import equipoise as eq
from equipoise.engine.sources.sketch import Signs, fold
from equipoise.errors import EquipoiseWarning, InputError, SettingError
from tests.engine.comparing import step
from tests.engine.problems import TwoPart, batch, dense_gradients

MODES = {
    "Features": lambda model: eq.Features(),
    "Every": lambda model: eq.Every(2),
    "Sketch": lambda model: eq.Sketch(16),
    "LastLayer": lambda model: eq.LastLayer(model.trunk[2]),
}


def assert_is_the_combination(model, rows, weights, heads, scale=1.0):
    """Every trunk parameter has sum_i a_i g_i, every head its own gradient at the wanted scale."""
    k = len(rows)
    for name, p in model.named_parameters():
        if name.startswith("trunk"):
            target = sum(a * row[name] for a, row in zip(weights, rows, strict=True))
        else:
            task = int(name.split(".")[1])
            target = (weights[task] if heads == "weighted" else 1 / k) * rows[task][name]
        torch.testing.assert_close(p.grad, target * scale, rtol=1e-11, atol=1e-12, msg=name)


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("name", list(MODES))
def test_the_direction_is_the_exact_combination_with_the_recorded_weights(name, heads, scale):
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=MODES[name](model), heads=heads, scale=scale)
    for seed in range(3):  # Every(2): exact, reused, exact
        x, y = batch(seed=seed)
        rows = dense_gradients(model, lambda x=x, y=y: model.losses(model.features(x), y))
        step(balancer, model, x, y)
        assert_is_the_combination(model, rows, balancer.last.weights, heads, 3.0 if scale == "sum" else 1.0)


@pytest.mark.parametrize("name", list(MODES))
def test_an_approximation_says_so_in_the_plan_and_the_docstring(name):
    model, (x, y) = TwoPart(), batch()
    mode = MODES[name](model)
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=mode)
    step(balancer, model, x, y)
    step(balancer, model, x, y)
    assert "APPROXIMATION" in balancer.plan.reason
    assert "APPROXIMATION" in type(mode).__doc__
    assert "Error:" in type(mode).__doc__


def test_features_uses_the_weights_of_the_gradients_at_the_features():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    at_features = torch.stack(
        [torch.autograd.grad(loss, z, retain_graph=True)[0].flatten() for loss in model.losses(z, y).values()]
    )
    wanted = eq.weights(eq.MGDA(), at_features @ at_features.T)
    balancer = eq.Balancer(eq.MGDA(), gradients=eq.Features())
    step(balancer, model, x, y)
    torch.testing.assert_close(balancer.last.weights, wanted)
    named = copy.deepcopy(model)
    step(eq.Balancer(eq.MGDAUB()), named, x, y)  # the same under the name of the paper
    for one, other in zip(model.parameters(), named.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_features_warns_where_the_tasks_share_no_sample():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    parts = {f"t{i}": (model.heads[i](z[i::3])[:, 0] - y[i::3, i]).square().mean() for i in range(3)}
    with pytest.warns(EquipoiseWarning, match="no two of these tasks share a sample"):
        eq.Balancer(eq.MGDA(), gradients=eq.Features())(parts, features=z)


def test_features_without_features_is_refused_with_what_to_type():
    model, (x, y) = TwoPart(), batch()
    with pytest.raises(SettingError, match=r"call balancer\(losses, features=...\)"):
        eq.Balancer(eq.MGDA(), gradients=eq.Features())(model.losses(model.features(x), y))


def test_features_refuses_a_bypass_around_them():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    losses = model.losses(z, y)
    losses["t0"] = losses["t0"] + model.trunk[0](x).square().mean()
    losses["t1"] = losses["t1"] + model.trunk[0](x).mean()
    with pytest.raises(InputError, match="needs every shared parameter behind `features`"):
        eq.Balancer(eq.MGDA(), gradients=eq.Features())(losses, features=z)


# ------------------------------------------------------------------------------------------------------------ Every


def test_every_uses_weights_n_minus_one_times_and_then_computes_new_ones():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), gradients=eq.Every(3))
    engines, weights = [], []
    for seed in range(7):
        step(balancer, model, *batch(seed=seed))
        engines.append(balancer.plan.engine == "reused")
        weights.append(balancer.last.weights)
        assert balancer.last.reused == engines[-1]
    assert engines == [False, True, True, False, True, True, False]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    assert balancer.counts == {"SOLVED": 3, "reused": 4}


def test_every_one_is_exact_to_the_bit():
    models = [TwoPart(), TwoPart()]
    balancers = [eq.Balancer(eq.MGDA()), eq.Balancer(eq.MGDA(), gradients=eq.Every(1))]
    for seed in range(3):
        for model, balancer in zip(models, balancers, strict=True):
            step(balancer, model, *batch(seed=seed))
        for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
            assert torch.equal(one.grad, other.grad)


def test_every_is_exact_where_other_tasks_are_present_or_a_parameter_is_new():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.Every(100))
    step(balancer, model, x, y)
    step(balancer, model, x, y, absent=["t1"])
    assert balancer.plan.engine != "reused"
    step(balancer, model, x, y, absent=["t1"])
    assert balancer.plan.engine == "reused"
    model.trunk.append(nn.Linear(6, 6).double())
    step(balancer, model, x, y, absent=["t1"])
    assert balancer.plan.engine != "reused"


def test_every_does_not_ask_the_method_in_between():
    model = TwoPart()
    balancer = eq.Balancer(eq.PCGrad(seed=1), gradients=eq.Every(4))
    for seed in range(4):
        step(balancer, model, *batch(seed=seed))
    assert balancer.state["step"] == 1


def test_every_resumes_to_the_bit_in_the_middle_of_a_stretch():
    def train(steps, saved=None):
        model = TwoPart()
        balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.Every(4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if saved:
            model.load_state_dict(saved[0])
            balancer.load_state_dict(saved[1])
        for seed in steps:
            step(balancer, model, *batch(seed=seed))
            optimizer.step()
        return copy.deepcopy((model.state_dict(), balancer.state_dict())), balancer.counts

    whole, counts = train(range(10))
    resumed, again = train(range(6, 10), train(range(6))[0])
    for one, other in zip(whole, resumed, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert counts == again


# ----------------------------------------------------------------------------------------------------------- Sketch


@given(n=st.integers(1, 60), s=st.integers(2, 20), first=st.integers(0, 50))
@settings(deadline=None, max_examples=50)
def test_folding_is_the_product_with_a_signed_bucket_matrix(n, s, first):
    values = torch.arange(1.0, n + 1, dtype=torch.float64)
    signs = Signs(seed=n).of("w", values)
    matrix = torch.zeros(s, n, dtype=torch.float64)
    for index in range(n):
        matrix[(first + index) % s, index] = signs[index]
    torch.testing.assert_close(fold(values, signs, s, first), matrix @ values)


def test_sketched_products_are_unbiased_with_the_stated_spread():
    generator = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 3000, generator=generator, dtype=torch.float64)
    other += one
    s, draws = 64, 400
    exact = one @ other
    found = torch.stack(
        [fold(one, signs, s) @ fold(other, signs, s) for signs in (Signs(i).of("w", one) for i in range(draws))]
    )
    size = one.norm() * other.norm()
    assert abs(found.mean() - exact) < 4 * found.std() / math.sqrt(draws)
    assert 0.4 * math.sqrt(2 / s) < found.std() / size < 1.2 * math.sqrt(2 / s)


def test_a_larger_sketch_is_closer_to_the_exact_gramian():
    torch.manual_seed(0)
    trunk, heads = (
        nn.Sequential(nn.Linear(20, 200), nn.Tanh(), nn.Linear(200, 50)),
        nn.ModuleList([nn.Linear(50, 1) for _ in range(4)]),
    )
    x, y = torch.randn(64, 20), torch.randn(64, 4)

    def gramian(mode):
        balancer = eq.Balancer(eq.MGDA(), gradients=mode)
        z = trunk(x)
        balancer({f"t{i}": (head(z)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(heads)})
        return balancer.last.gramian

    exact = gramian(eq.Exact())
    errors = [
        max(float((gramian(eq.Sketch(s, seed=seed)) - exact).norm() / exact.norm()) for seed in range(3))
        for s in (64, 4096)
    ]
    assert errors[1] < 0.06 < errors[0] < 0.6
    assert torch.linalg.eigvalsh(gramian(eq.Sketch(64))).min() > -1e-10


def test_a_sketch_counts_a_parameter_that_the_second_task_shares_late():
    model, (x, y) = TwoPart(k=2), batch(k=2)
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.Sketch(64))
    step(balancer, model, x, y)
    first = balancer.last.gramian
    step(balancer, model, x, y)  # ownership is known now
    torch.testing.assert_close(balancer.last.gramian, first, rtol=1e-12, atol=0)
    assert balancer.ownership.reached["trunk.0.weight"] == [0, 1]


# -------------------------------------------------------------------------------------------------------- LastLayer


def test_the_last_layers_gramian_is_that_of_its_own_gradients():
    model, (x, y) = TwoPart(), batch()
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    matrix = torch.stack([torch.cat([row["trunk.2.weight"].flatten(), row["trunk.2.bias"]]) for row in rows])
    for given_layer in (model.trunk[2], list(model.trunk[2].parameters())):
        balancer = eq.Balancer(eq.MGDA(), gradients=eq.LastLayer(given_layer))
        step(balancer, model, x, y)
        torch.testing.assert_close(balancer.last.gramian, matrix @ matrix.T)


def test_layer_is_short_for_last_layer_and_gradnorm_trains_on_it():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.GradNorm(lr=0.5), layer=model.trunk[2], model=model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    weights = []
    for _ in range(5):
        rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
        step(balancer, model, x, y)
        assert_is_the_combination(model, rows, balancer.last.weights, "weighted")  # GradNorm's own default
        weights.append(balancer.last.weights)
        optimizer.step()
    assert not torch.allclose(weights[0], weights[-1])
    with pytest.raises(SettingError, match="give one of the two"):
        eq.Balancer(eq.GradNorm(), layer=model.trunk[2], gradients=eq.Exact())


def test_a_layer_that_no_task_reaches_is_refused():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), gradients=eq.LastLayer(nn.Linear(2, 2)))
    with pytest.raises(InputError, match="no present task reaches the 2 parameters of the layer"):
        step(balancer, model, x, y)


def test_later_steps_of_last_layer_do_not_enter_the_trunk():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), gradients=eq.LastLayer(model.trunk[2]))
    step(balancer, model, x, y)
    passes = []

    class Spy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, upstream):
            passes.append(1)
            return upstream

    z = model.trunk[2:](Spy.apply(model.trunk[:2](x)))
    loss = balancer(model.losses(z, y))
    assert passes == []
    loss.backward()
    assert passes == [1]


@pytest.mark.parametrize("name", list(MODES))
def test_hooks_fire_once_in_every_mode(name):
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=MODES[name](model), heads="own")
    fired = []
    for key, p in model.named_parameters():
        p.register_hook(lambda g, key=key: fired.append(key))
    for seed in range(2):
        fired.clear()
        step(balancer, model, *batch(seed=seed))
        assert sorted(fired) == sorted(key for key, _ in model.named_parameters())
