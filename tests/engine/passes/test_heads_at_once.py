"""Heads in one pass: the same numbers as one pass a head, in every precision, and NaN stays where it is."""

import pytest
import torch

import equipoise as eq
from equipoise.engine.passes import heads as heads_module
from tests.engine.headed import (
    HEADS,
    ROWS,
    K,
    Net,
    apart,
    balanced,
    check,
    flat,
    linear,
    losses_of,
    mlp,
    parts,
    per_task,
    problem,
    whole,
)

# ------------------------------------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("allow", [("ghost", "rank", "separable"), ()])
@pytest.mark.parametrize("name", list(HEADS))
def test_heads_have_the_gradients_of_one_pass_a_head(name, allow, ways):
    model, forward, way = problem(name)
    losses, z = forward()
    found = check(losses, (z,), list(model.parameters()), allow=allow)
    assert ways == [way]
    assert (found.plan.engine == "separable") == (name == "rows of their own" and bool(allow))


@pytest.mark.filterwarnings("ignore:gradients=eq.Features")  # no two of some tasks share a sample
@pytest.mark.parametrize("heads", ["own", "weighted"])
@pytest.mark.parametrize("mode", [eq.Exact(), eq.Features()], ids=str)
@pytest.mark.parametrize("method", [eq.MGDA(), eq.AlignedMTL()], ids=["MGDA", "AlignedMTL"])
@pytest.mark.parametrize("name", list(HEADS))
def test_a_balancer_hands_out_what_dense_gradients_give(name, method, mode, heads, ways):
    model, forward, way = problem(name)
    losses, z = forward()
    rows = per_task(losses, list(model.parameters()))
    inside = len(list(model.trunk.parameters()))
    weighing = flat(per_task(losses, [z]) if mode == eq.Features() else [row[:inside] for row in rows])
    target = balanced(model, rows, weighing, method, heads)
    losses, z = forward()
    balancer = eq.Balancer(method, model=model, gradients=mode, heads=heads)
    balancer({f"t{n}": loss for n, loss in enumerate(losses)}, features=z).backward()
    assert ways == [way]
    torch.testing.assert_close(balancer.last.gramian, weighing @ weighing.T, rtol=1e-11, atol=1e-12)
    for (key, parameter), wanted in zip(model.named_parameters(), target, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-9, atol=1e-11, msg=key)


def test_several_features_that_some_heads_do_not_use_are_kept_apart(ways):
    model = Net(linear(8, 2), linear(8, 1), linear(8, 3))
    other, more = linear(5, 4), [linear(4, 2), linear(4, 1)]
    z, u = model(), torch.tanh(other(torch.ones(ROWS, 5, dtype=torch.float64)))
    first, second, third = model.heads
    losses = [
        first(z).square().mean() + more[0](u).exp().mean(),
        (second(z) * more[1](u)).mean(),
        third(z).sin().mean() + z.detach().mean(),
    ]
    parameters = [p for part in (model, other, *more) for p in part.parameters()]
    check(losses, (z, u), parameters)
    check(losses, (u, z), parameters)
    assert ways == ["FactoredRows"] * 2


def test_an_absent_task_leaves_the_others_their_gradients(ways):
    model, forward, _ = problem("linear")
    losses, z = forward()
    rows = per_task(losses[1:], list(model.trunk.parameters()))
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer({"t0": None, "t1": losses[1], "t2": losses[2]}, features=z).backward()
    assert ways == ["FactoredRows"]
    torch.testing.assert_close(balancer.last.gramian, flat(rows) @ flat(rows).T, rtol=1e-12, atol=1e-12)
    assert all(p.grad is None for p in model.heads[0].parameters())


# --------------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("inputs", [whole, parts, apart], ids=["products", "rows", "own rows"])
def test_bf16_autocast_heads_are_those_of_one_pass_a_head(inputs, monkeypatch):
    found = []
    for together in (True, False):
        if not together:
            monkeypatch.setattr(heads_module, "heads_at_once", lambda *_: None)
        model = Net(*(mlp(8, 2) for _ in range(K))).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z = model(torch.linspace(-1, 1, ROWS * 5).reshape(ROWS, 5))
            losses = losses_of(model, inputs(z))
        assert z.dtype == torch.bfloat16
        rows = per_task(losses, list(model.parameters()))
        balancer = eq.Balancer(eq.MGDA(), model=model)
        balancer([loss.float() for loss in losses], features=z).backward()
        jacobian = flat([row[:4] for row in rows])
        wanted = jacobian @ jacobian.T
        assert float((balancer.last.gramian - wanted).norm() / wanted.norm()) < 0.03
        found.append(balancer.last.gramian)
    torch.testing.assert_close(*found, rtol=0.03, atol=0.0)


@pytest.mark.filterwarnings("ignore:gradients=eq.Features")  # no two of some tasks share a sample
@pytest.mark.parametrize("mode", [eq.Exact(), eq.Features()], ids=str)
@pytest.mark.parametrize("factor", [1.0, 1e-5, 1e-6])
@pytest.mark.parametrize("inputs", [whole, parts, apart], ids=["products", "rows", "own rows"])
def test_small_losses_in_fp16_keep_their_gramian(inputs, factor, mode, ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    losses = losses_of(model, inputs(z), factor)
    exact = flat(per_task(losses, [z] if mode == eq.Features() else list(model.trunk.parameters())))
    wanted = exact @ exact.T
    model.float()
    model.heads.half()
    with torch.autocast("cpu", dtype=torch.float16):
        generator = torch.Generator().manual_seed(3)
        z = model(torch.randn(ROWS, 5, generator=generator, dtype=torch.float64).float())
    assert z.dtype == torch.float16
    losses = [
        (head(part).float() - n).square().mean() * factor
        for n, (head, part) in enumerate(zip(model.heads, inputs(z), strict=True))
    ]
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=mode)
    balancer(losses, features=z).backward()
    assert set(ways) == {"FactoredRows" if inputs is whole else "ChosenRows"}
    assert balancer.carried.power > 0
    assert float((balancer.last.gramian - wanted).norm() / wanted.norm()) < 0.02
    for number, p in enumerate(model.trunk.parameters()):
        assert torch.isfinite(p.grad).all(), number


# ------------------------------------------------------------------------------------------------------- NaN and inf


def nan_in_the_graph(output):
    """Zero, and its gradient is NaN."""
    return (output - output.detach()).abs().sqrt().sum()


@pytest.mark.filterwarnings("ignore:gradients=eq.Features")  # no two of some tasks share a sample
@pytest.mark.parametrize("mode", [eq.Exact(), eq.Features()], ids=str)
@pytest.mark.parametrize("inputs", [whole, parts, apart], ids=["products", "rows", "own rows"])
@pytest.mark.parametrize("cause", ["loss", "weight"])
def test_nan_stays_with_its_task(cause, inputs, mode):
    model = Net(*(linear(8, 2) for _ in range(K)))
    names = [f"t{n}" for n in range(K)]

    def losses():
        z = model()
        outputs = [head(part) for head, part in zip(model.heads, inputs(z), strict=True)]
        found = [torch.sigmoid(output).mean() for output in outputs]  # finite, and zero its slope, at inf
        if cause == "loss":
            found[1] = found[1] + nan_in_the_graph(outputs[1])
        return found, z

    fine = [0, 2]
    values, z = losses()
    rows = per_task([values[n] for n in fine], list(model.parameters()))
    weighing = flat(per_task([values[n] for n in fine], [z]) if mode == eq.Features() else [row[:4] for row in rows])
    target = balanced(model, rows, weighing, eq.MGDA(), "own")
    if cause == "weight":
        with torch.no_grad():
            model.heads[1].weight[0, 3] = torch.inf
    values, z = losses()
    assert all(bool(torch.isfinite(value)) for value in values)
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=mode, nonfinite="skip")
    balancer(dict(zip(names, values, strict=True)), features=z).backward()
    assert [balancer.counts[f"skipped {name}"] for name in names] == [0, 1, 0]
    for (key, p), wanted in zip(model.named_parameters(), target, strict=True):
        if key.startswith("heads.1"):
            assert p.grad is None
        else:
            torch.testing.assert_close(p.grad, wanted, rtol=1e-9, atol=1e-11, msg=key)
