"""Hooks, shared parts and odd graphs: heads are left alone wherever one pass for all would not be right."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from equipoise.engine import Ownership
from equipoise.engine.passes.exact import differentiate
from equipoise.errors import InputError
from tests.engine.headed import K, Net, apart, check, flat, linear, losses_of, mlp, parts, per_task, problem, whole

# -------------------------------------------------------------------------------------------------- hooks and graphs


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_a_hook_on_the_features_fires_once_a_head_and_acts(inputs, ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    calls = []
    z.register_hook(lambda g: calls.append(g) or g.clamp(-0.01, 0.01))  # not linear: a sum of gradients would differ
    losses = losses_of(model, inputs(z))
    parameters = list(model.parameters())
    rows = per_task(losses, parameters)
    calls.clear()
    found = differentiate(losses, range(K), Ownership(), features=(z,))
    assert len(calls) == K
    assert ways == [None]
    jacobian = flat([row[:4] for row in rows])
    torch.testing.assert_close(found.gramian(), jacobian @ jacobian.T, rtol=1e-12, atol=1e-15)


def test_a_hook_that_was_removed_from_the_features_is_no_hook(ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    z.register_hook(lambda g: -g).remove()
    check(losses_of(model, whole(z)), (z,), list(model.parameters()))
    assert ways == ["FactoredRows"]


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_hooks_on_a_heads_output_act(inputs, ways):
    model = Net(*(mlp(8, 2) for _ in range(K)))
    z = model()
    given = inputs(z)
    hidden = [head[0](part) for head, part in zip(model.heads, given, strict=True)]
    outputs = [head[1:](h) for head, h in zip(model.heads, hidden, strict=True)]
    hidden[0].register_hook(lambda g: g.clamp(-0.01, 0.01))
    outputs[1].register_hook(lambda g: -3 * g)
    check([output.square().mean() for output in outputs], (z,), list(model.parameters()))
    assert ways != [None]


@pytest.mark.parametrize("inputs", [parts, apart], ids=["shared rows", "own rows"])
def test_hooks_on_chosen_rows_act(inputs, ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    given = inputs(z)
    given[0].register_hook(lambda g: -2 * g)
    given[1].register_hook(lambda g: g.clamp(-0.01, 0.01))
    check(losses_of(model, given), (z,), list(model.parameters()))
    assert ways == ["ChosenRows"]


@pytest.mark.parametrize("where", ["register_hook", "register_prehook"])
@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_hooks_on_the_nodes_that_take_up_the_features_act(inputs, where):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    given = inputs(z)
    outputs = [head(part) for head, part in zip(model.heads, given, strict=True)]
    node = (outputs if inputs is whole else given)[0].grad_fn

    def turn(gradients, *_):
        return tuple(None if g is None else -2 * g for g in gradients)

    getattr(node, where)(turn)
    check([output.square().mean() for output in outputs], (z,), list(model.parameters()))


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("kind", ["register_full_backward_hook", "register_backward_hook"])
@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_hooks_on_head_modules_act(inputs, kind):
    model = Net(*(linear(8, 2) for _ in range(K)))
    getattr(model.heads[0], kind)(lambda _, g, __: tuple(None if one is None else -2 * one for one in g))
    z = model()
    check(losses_of(model, inputs(z)), (z,), list(model.parameters()))


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_features_that_keep_their_gradient_change_nothing(inputs):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    z.retain_grad()
    check(losses_of(model, inputs(z)), (z,), list(model.parameters()))


def odd_heads():
    """Name -> (model, what heads are given) that no product of features and weight stands for."""
    frozen = Net(*(linear(8, 2) for _ in range(K)))
    frozen.heads[1].weight.requires_grad_(False)
    normalised = Net(*(parametrizations.weight_norm(linear(8, 2)) for _ in range(K)))
    one_chosen = Net(*(linear(8, 2) for _ in range(K)))

    def same(z):
        chosen = z[:5]
        return [chosen, chosen, z[3:]]

    scaled = Net(*(Scaled() for _ in range(K)))
    return {
        "frozen": (frozen, whole),
        "normalised": (normalised, whole),
        "one choice for two": (one_chosen, same),
        "columns": (Net(*(linear(3, 2) for _ in range(K))), lambda z: [z[:, n : n + 3] for n in range(K)]),
        "scaled product": (scaled, whole),
    }


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(8, 2).double()), nn.Parameter(torch.ones(2).double())

    def forward(self, z):
        return torch.addmm(self.bias, z, self.weight, alpha=3.0)


@pytest.mark.parametrize("name", ["frozen", "normalised", "one choice for two", "columns", "scaled product"])
def test_heads_that_do_not_begin_with_their_own_weight_are_left_alone(name, ways):
    model, inputs = odd_heads()[name]
    z = model()
    check(losses_of(model, inputs(z)), (z,), [p for p in model.parameters() if p.requires_grad])
    assert ways == [None]


def test_frozen_heads_of_chosen_rows_need_no_weight(ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    model.heads.requires_grad_(False)
    z = model()
    check(losses_of(model, parts(z)), (z,), list(model.trunk.parameters()))
    assert ways == ["ChosenRows"]


def test_heads_that_share_a_parameter_go_one_by_one(ways):
    model = Net(*[linear(8, 2)] * K)
    z = model()
    found = check(losses_of(model, whole(z)), (z,), list(model.parameters()))
    assert (found.plan.engine, ways) == ("sequential", [])


def test_a_loss_that_is_part_of_another_is_counted_in_both():
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    first, second, third = losses_of(model, parts(z))
    check([first + second, second, third], (z,), list(model.parameters()))
    model.heads.requires_grad_(False)
    z = model()
    first, second, third = losses_of(model, parts(z))
    check([first + second, second, third], (z,), list(model.trunk.parameters()))


def test_detached_parts_bring_nothing(ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    check(losses_of(model, [z, z.detach(), z]), (z,), list(model.parameters()))
    assert ways == ["FactoredRows"]


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_penalties_on_gradients_are_right(inputs):
    model = Net(*(mlp(8, 2) for _ in range(K)))
    z = model()
    losses = []
    for head, given in zip(model.heads, inputs(z), strict=True):
        value = torch.tanh(head(given)).sum()
        (slope,) = torch.autograd.grad(value, given, create_graph=True)
        losses.append(value + slope.square().sum())
    check(losses, (z,), list(model.parameters()))


@pytest.mark.parametrize("mode", [eq.Exact(), eq.Features()], ids=str)
def test_a_head_weight_changed_after_the_forward_is_refused(mode):
    model, forward, _ = problem("linear")
    losses, z = forward()
    with torch.no_grad():
        model.heads[1].weight.add_(1.0)
    with pytest.raises(InputError, match="changed in place after the forward pass"):
        eq.Balancer(eq.MGDA(), model=model, gradients=mode)(losses, features=z)


@pytest.mark.parametrize(("inputs", "way"), [(whole, None), (parts, "ChosenRows")], ids=["products", "rows"])
def test_saved_tensors_may_be_packed(inputs, way, ways):
    model = Net(*(linear(8, 2) for _ in range(K)))
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().numpy(), torch.from_numpy):
        z = model()
        losses = losses_of(model, inputs(z))
    check(losses, (z,), list(model.parameters()))
    assert ways in ([way], [None])


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_checkpointed_heads_run_once_more_and_no_oftener(inputs):
    model = Net(*(mlp(8, 2, 0.5) for _ in range(K)))
    runs = []

    def head(number, z):
        runs.append(number)
        return model.heads[number](inputs(z)[number]).square().mean()

    def forward():
        z = model()
        return [checkpoint(head, n, z, use_reentrant=False) for n in range(K)], z

    losses, z = forward()
    check(losses, (z,), list(model.parameters()))
    losses, z = forward()
    runs.clear()
    differentiate(losses, range(K), Ownership(), features=(z,))
    assert sorted(runs) == list(range(K))
