"""Features that are one of several outputs of a node, that nobody uses, or that are losses themselves."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import InputError
from tests.engine.headed import ROWS, K, Net, balanced, check, flat, linear, losses_of, parts, per_task, whole

# ------------------------------------------------------------------------------------- nodes that have several outputs


def chunked(model):
    return model().chunk(2, 1)


def unbound(model):
    return model().reshape(ROWS, 2, 8).unbind(1)


class Both(torch.autograd.Function):
    """Two outputs of one node, as DistributedDataParallel and compiled models make them."""

    @staticmethod
    def forward(_, one, other):
        return one.clone(), other.clone()

    @staticmethod
    def backward(_, one, other):
        return one, other


def joined(model):
    z = model()
    return Both.apply(z[:, :8], z[:, 8:])


OUTPUTS = {"chunk": chunked, "unbind": unbound, "one function": joined}


@pytest.mark.parametrize("method", [eq.MGDA(), eq.AlignedMTL()], ids=str)
@pytest.mark.parametrize("name", list(OUTPUTS))
def test_features_that_are_one_of_several_outputs_do_not_hide_the_others(name, method):
    model = Net(*(linear(8, 2) for _ in range(K)), out=16)

    def forward():
        one, other = OUTPUTS[name](model)
        return losses_of(model, [one, other, one.sin()]), one

    losses, _ = forward()
    rows = per_task(losses, list(model.parameters()))
    target = balanced(model, rows, flat([row[:4] for row in rows]), method, "own")
    losses, z = forward()
    balancer = eq.Balancer(method, model=model)
    balancer(losses, features=z).backward()
    assert balancer.plan.engine == "sequential"
    assert "a head uses another output of" in balancer.plan.reason
    for (key, p), wanted in zip(model.named_parameters(), target, strict=True):
        torch.testing.assert_close(p.grad, wanted, rtol=1e-9, atol=1e-11, msg=key)
    losses, z = forward()
    with pytest.raises(InputError, match="a head uses another output of"):
        eq.Balancer(method, model=model, gradients=eq.Features())(losses, features=z)


@pytest.mark.parametrize("inputs", ["products", "rows"])
@pytest.mark.parametrize("name", list(OUTPUTS))
def test_all_outputs_of_one_node_may_be_features(name, inputs, ways):
    model = Net(*(linear(8, 2) for _ in range(K)), out=16)
    one, other = OUTPUTS[name](model)
    given = [one, other, one] if inputs == "products" else [one[:5], other[4:], one[2:]]
    losses = losses_of(model, given)
    for features in ((one, other), (other, one)):
        check(losses, features, list(model.parameters()))
    assert set(ways) <= {"FactoredRows" if inputs == "products" else "ChosenRows", None}


@pytest.mark.parametrize("which", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_outputs_and_states_of_an_lstm_are_right_in_any_choice(which):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk, heads = nn.LSTM(5, 8, batch_first=True).double(), [linear(8, 2) for _ in range(K)]
        output, (hidden, cell) = trunk(torch.randn(3, 4, 5, dtype=torch.float64))
    losses = [h(v).square().mean() for h, v in zip(heads, (output[:, 0], hidden[0], cell[0]), strict=True)]
    features = tuple((output, hidden, cell)[n] for n in which)
    check(losses, features, [*trunk.parameters(), *(p for head in heads for p in head.parameters())])


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_a_loss_that_is_one_of_the_features_keeps_its_gradient(inputs):
    model, other = Net(*(linear(8, 2) for _ in range(K))), linear(5, 4)
    z = model()
    penalty = other(torch.ones(ROWS, 5, dtype=torch.float64)).square().mean()  # of a part of the trunk alone
    losses = [*losses_of(model, inputs(z)), penalty]
    for features in ((z, penalty), (penalty, z)):
        check(losses, features, [*model.parameters(), *other.parameters()])


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_a_loss_that_comes_out_of_the_features_own_node_keeps_its_gradient(inputs):
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    z, penalty = Both.apply(z, z.square().mean())
    losses = [*losses_of(model, inputs(z)), penalty]
    check(losses, (z,), list(model.parameters()))
    check(losses, (z, penalty), list(model.parameters()))


@pytest.mark.parametrize("shape", [(), (ROWS,)])
def test_features_of_no_or_one_axis_are_right(shape):
    trunk = linear(5, 1)
    z = trunk(torch.linspace(-1, 1, ROWS * 5, dtype=torch.float64).reshape(ROWS, 5))[:, 0]
    z = z if shape else z.mean()
    losses = [z[:7].square().sum(), z[3:].exp().sum()] if shape else [z * 2, z.exp()]
    check(losses, (z,), list(trunk.parameters()))


def test_selections_that_are_empty_bring_nothing():
    model = Net(*(linear(8, 2) for _ in range(K)))
    z = model()
    nobody = torch.zeros(ROWS, dtype=torch.bool)
    losses = [head(part).square().sum() for head, part in zip(model.heads, [z[nobody], z[:4], z[3:]], strict=True)]
    check(losses, (z,), list(model.parameters()))


def test_a_part_of_the_features_that_is_changed_in_place_is_seen():
    trunk = linear(5, 8)
    z = trunk(torch.linspace(-1, 1, ROWS * 5, dtype=torch.float64).reshape(ROWS, 5))
    first, rest = z[:6], z[4:]
    first.relu_()
    check([first.square().sum(), rest.exp().sum()], (z,), list(trunk.parameters()))


@pytest.mark.parametrize("inputs", [whole, parts], ids=["products", "rows"])
def test_a_feature_that_no_loss_uses_is_no_obstacle(inputs):
    model, other = Net(*(linear(8, 2) for _ in range(K))), linear(5, 4)
    z, unused = model(), other(torch.ones(ROWS, 5, dtype=torch.float64))
    check(losses_of(model, inputs(z)), (z, unused), list(model.parameters()))
