"""Features: several tensors, nested ones, and those that cannot be used."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import InputError, LossError
from tests.engine.problems import TwoPart, batch, dense_gradients
from tests.engine.step.test_semantics import close, expected, gradients, losses_of


class Levels(nn.Module):
    """Two feature tensors: the first task uses both, the others one each."""

    def __init__(self, nested=False):
        super().__init__()
        torch.manual_seed(0)
        self.nested = nested
        self.low, self.high = nn.Linear(5, 4).double(), nn.Linear(4 if nested else 5, 3).double()
        self.heads = nn.ModuleList([nn.Linear(7, 1), nn.Linear(4, 1), nn.Linear(3, 1)]).double()

    def forward(self, x, y):
        low = torch.tanh(self.low(x))
        high = torch.tanh(self.high(low if self.nested else x))
        inputs = [torch.cat([low, high], 1), low, high]
        return (
            low,
            high,
            {
                f"t{i}": (h(z)[:, 0] - y[:, i]).square().mean()
                for i, (h, z) in enumerate(zip(self.heads, inputs, strict=True))
            },
        )


@pytest.mark.parametrize(
    "shape",
    [
        lambda low, high: (low, high),
        lambda low, high: [high, low],
        lambda low, high: {"p3": low, "p4": high},
        lambda low, high: {"pyramid": (low, [high, None]), "mask": torch.ones(3, dtype=torch.bool), "again": low},
    ],
)
@pytest.mark.parametrize("method", [eq.MGDA(), eq.MoCo()])
def test_features_may_be_several_tensors_tuples_and_dicts(shape, method):
    model, (x, y) = Levels(), batch()
    rows = dense_gradients(model, lambda: model(x, y)[2])
    low, high, losses = model(x, y)
    target = expected(model, rows, method)
    balancer = eq.Balancer(method, model=model)
    balancer(losses, features=shape(low, high)).backward()
    close(gradients(model), target)
    assert balancer.plan.engine == "two-phase"


def test_features_that_lie_behind_one_another_are_not_counted_twice():
    model, (x, y) = Levels(nested=True), batch()
    rows = dense_gradients(model, lambda: model(x, y)[2])
    low, high, losses = model(x, y)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=(low, high)).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))
    assert balancer.plan.engine == "sequential"
    low, high, losses = model(x, y)
    with pytest.raises(InputError, match="needs every shared parameter behind `features`"):
        eq.Balancer(eq.MGDA(), gradients=eq.Features())(losses, features=(low, high))


def test_a_detached_feature_is_refused_by_its_place():
    model, (x, y) = TwoPart(), batch()
    z = model.features(x)
    with pytest.raises(InputError, match=r"features\['deep'\]\[1\] of shape \(16, 6\) has no grad_fn"):
        eq.Balancer(eq.MGDA())(model.losses(z, y), features={"deep": [z, z.detach()]})
    with pytest.raises(InputError, match="features is str"):
        eq.Balancer(eq.MGDA())(model.losses(z, y), features="z")


def test_a_loss_that_does_not_reach_the_features_is_refused_by_name():
    model, (x, y) = TwoPart(), batch()
    z, other = model.features(x), model.features(x)
    with pytest.raises(LossError, match="'t0', 't1', 't2': the loss does not reach the features"):
        eq.Balancer(eq.MGDA())(model.losses(other, y), features=z)


@pytest.mark.parametrize("given", [False, True])
def test_heads_that_change_the_feature_in_place_are_right(given):
    class Inplace(TwoPart):
        def losses(self, z, y):
            nn.functional.relu(z, inplace=True)  # by the first head, seen by all
            found = {}
            for i, head in enumerate(self.heads):
                residual = head(z)[:, 0].sub_(y[:, i])
                found[f"t{i}"] = residual.square_().mean() if i else residual.square().mean()
            return found

    model, (x, y) = Inplace(), batch()
    model.trunk.append(nn.Linear(6, 6).double())  # Tanh saves its output, which must not be changed
    rows = dense_gradients(model, lambda: losses_of(model, x, y))
    z = model.features(x)
    losses = model.losses(z, y)
    eq.Balancer(eq.MGDA(), model=model)(losses, features=z if given else None).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))


def test_a_bypass_around_the_features_counts():
    model, (x, y) = TwoPart(), batch()

    def compute():
        z = model.features(x)
        return z, {name: loss + model.trunk[0](x).square().mean() for name, loss in model.losses(z, y).items()}

    rows = dense_gradients(model, lambda: compute()[1])
    z, losses = compute()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    balancer(losses, features=z).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()))


@pytest.mark.filterwarnings("ignore:gradients=eq.Features")  # no two tasks share a sample of no rows
@pytest.mark.parametrize("mode", [eq.Exact(), eq.Features()], ids=str)
@pytest.mark.parametrize("owned", [False, True], ids=["shared rows", "own rows"])
@pytest.mark.parametrize("first", [nn.Identity, nn.Tanh])
def test_a_batch_of_no_rows_changes_nothing_and_the_next_one_trains(mode, owned, first):
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16))
    heads = [nn.Sequential(first(), nn.Linear(16, 1)) for _ in range(3)]
    balancer = eq.Balancer(eq.AlignedMTL(), gradients=mode)
    for rows in (0, 12, 0):
        z = trunk(torch.randn(rows, 8))
        losses = [head(z[i::3] if owned else z).square().sum() for i, head in enumerate(heads)]
        for p in trunk.parameters():
            p.grad = None
        balancer(losses, features=z).backward()
        assert any(p.grad is not None and bool(p.grad.any()) for p in trunk.parameters()) == bool(rows)
