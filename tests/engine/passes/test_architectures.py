"""Every exact engine on every kind of network gives the dense reference's numbers."""

import pytest
import torch

import equipoise as eq
from equipoise.engine import Ownership
from equipoise.engine.passes.exact import EXACT_ENGINES, differentiate
from tests.engine.architectures import ALL, build, mixed, products, reference, shared_names

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
WAYS = {
    "sequential": {"features": False, "allow": ()},
    "sequential ghost": {"features": False},
    "two-phase": {"features": True, "allow": ()},
    "two-phase ghost": {"features": True},
    "jacobian": {"features": True, "jacobian": True},
    "streaming": {"features": False, "share": 0.95},
    "streaming behind features": {"features": True, "share": 0.95},
}


def take_step(model, inputs, ownership, way):
    """A step; `share` is the part that may be used of the memory that is needed once ownership is known."""
    losses, features = model.run(*inputs)
    options = {key: value for key, value in way.items() if key not in {"features", "share"}}
    if "share" in way:
        other = Ownership(model)
        for _ in range(2):
            full = take_step(model, inputs, other, {"features": way["features"]})
        options["memory"] = int(full.plan.memory * way["share"])
    return differentiate(losses, range(len(losses)), ownership, features=features if way["features"] else (), **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("name", list(ALL))
def test_every_engine_gives_the_numbers_of_the_dense_reference(name, way, dtype):
    model, inputs = build(name, dtype)
    rows = reference(model, inputs)
    names = shared_names(rows)
    tolerance = TOLERANCE[dtype]
    ownership = Ownership(model)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    for _ in range(2):  # ownership is known from the second step on, and engines may change
        found = take_step(model, inputs, ownership, WAYS[way])
        assert (found.plan.engine == "streaming") == ("streaming" in way)
        wanted = products(rows, names)
        torch.testing.assert_close(
            found.gramian(), wanted, rtol=tolerance, atol=tolerance * float(wanted.diagonal().max())
        )
        blocks = {ownership.name(leaf): block for leaf, block in found.combine(weights)}
        assert set(blocks) == set(names)
        for key, block in blocks.items():
            dense = block.to_dense() if block.is_sparse else block
            torch.testing.assert_close(
                dense.double(), mixed(rows, key, weights), rtol=tolerance, atol=tolerance, msg=key
            )
        for leaf, own in found.own:
            key = ownership.name(leaf)
            assert key not in names
            for row, block in own:
                torch.testing.assert_close(block, rows[row][key], rtol=tolerance, atol=tolerance)


def test_each_network_takes_the_engines_that_it_is_there_for():
    taken = {}
    for name in ALL:
        model, inputs = build(name, torch.float64)
        plan = take_step(model, inputs, Ownership(model), WAYS["two-phase ghost"]).plan
        engines = {leaf: layer.engine for layer in plan.layers for leaf in layer.parameters}
        taken[name] = (plan.engine, {e: {leaf for leaf in engines if engines[leaf] == e} for e in ("ghost", "direct")})
    assert taken["MLP"][1]["ghost"] == {"first.weight", "second.weight", "third"}
    assert taken["Stack"][1]["ghost"] == {"trunk.0.weight", "trunk.2.weight"}
    assert not taken["Conv"][1]["ghost"]
    assert "block.linear1.weight" in taken["Transformer"][1]["ghost"]
    assert "embedding.weight" in taken["Transformer"][1]["direct"]
    assert "again.weight" in taken["Reused"][1]["direct"]
    assert "first.weight" in taken["Tied"][1]["direct"]
    assert "first.weight" in taken["Twice"][1]["ghost"]
    assert {name for name, (engine, _) in taken.items() if engine == "sequential"} == {"Tied", "Bypass", "Nested"}


@pytest.mark.parametrize("name", list(ALL))
def test_parts_of_the_parameters_add_up_to_the_whole(name):
    model, inputs = build(name, torch.float64)
    found = take_step(model, inputs, Ownership(model), WAYS["two-phase ghost"])
    shared = found.shared_parameters()
    whole = found.gramian()
    torch.testing.assert_close(sum(found.of([leaf]).gramian() for leaf in shared), whole, rtol=1e-12, atol=1e-12)
    weights = torch.tensor([0.1, 0.7, 0.2], dtype=torch.float64)
    singly = {id(leaf): block for one in shared for leaf, block in found.of([one]).combine(weights)}
    assert len(singly) == len(shared)
    for leaf, block in found.combine(weights):
        left, right = (b.to_dense() if b.is_sparse else b for b in (singly[id(leaf)], block))
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["sequential ghost", "two-phase ghost", "streaming", "streaming behind features"])
@pytest.mark.parametrize("name", ["MLP", "Stack", "Transformer"])
def test_some_of_the_rows_are_those_of_fewer_tasks(name, way):
    model, inputs = build(name, torch.float64)
    found = take_step(model, inputs, Ownership(model), WAYS[way])
    fewer = found.only([2, 0])
    torch.testing.assert_close(fewer.gramian(), found.gramian()[[2, 0]][:, [2, 0]])
    few = {id(leaf): block for leaf, block in fewer.combine(torch.tensor([0.25, 0.75], dtype=torch.float64))}
    for leaf, block in found.combine(torch.tensor([0.75, 0.0, 0.25], dtype=torch.float64)):
        torch.testing.assert_close(few[id(leaf)], block, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["MLP", "Sparse", "Transformer"])
def test_a_balancer_hands_out_what_the_engines_found(name):
    model, inputs = build(name, torch.float64)
    rows = reference(model, inputs)
    names = shared_names(rows)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    losses, features = model.run(*inputs)
    balancer(losses, features=features).backward()
    weights = eq.weights(eq.MGDA(), products(rows, names).numpy())
    for key, parameter in model.named_parameters():
        if key in names:
            dense = parameter.grad.to_dense() if parameter.grad.is_sparse else parameter.grad
            torch.testing.assert_close(dense, mixed(rows, key, weights), rtol=1e-10, atol=1e-12)
    if name == "Sparse":
        assert model.embedding.weight.grad.is_sparse, "optimizers for sparse gradients need them so"


def test_every_engine_is_named():
    assert set(EXACT_ENGINES) == {"ghost", "rank", "separable"}
