"""Where weight gradients have to be formed, they are, rightly, and the plan says why; where not, they are not."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.core.tasks import Tasks

K, WIDTH, ROWS = 6, 64, 8  # few rows and several tasks: products without weight gradients are cheaper where possible


class Plain(nn.Module):
    """Two wide layers, and a head a task."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.heads = nn.ModuleList([nn.Linear(WIDTH, 1) for _ in range(K)])
        self.double()

    def features(self, x):
        return torch.tanh(self.second(torch.tanh(self.first(x))))

    def forward(self, x):
        z = self.features(x)
        return z, [(head(z) - i).square().mean() for i, head in enumerate(self.heads)]


class Reused(Plain):
    """The first layer is used twice."""

    def features(self, x):
        return torch.tanh(self.second(torch.tanh(self.first(torch.tanh(self.first(x))))))


class Tied(Plain):
    """The second layer's weight is the first one's, the other way round."""

    def features(self, x):
        return torch.tanh(torch.tanh(self.first(x)) @ self.first.weight)


class Turned(Plain):
    """The weights are used as they are kept, not transposed."""

    def features(self, x):
        return torch.tanh(torch.tanh(x @ self.first.weight) @ self.second.weight)


def data(seed=1):
    return torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows_of(model, x, run=None):
    """Each task's gradients by name, one honest backward a task."""
    rows = []
    for task in range(K):
        model.zero_grad(set_to_none=True)
        (run or model)(x)[1][task].backward()
        rows.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    model.zero_grad(set_to_none=True)
    return rows


def in_trunk(rows):
    return [name for name in rows[0] if not name.startswith("heads")]


def flat(rows, names):
    return torch.stack([torch.cat([row[name].flatten().double() for name in names]) for row in rows])


def assert_received(model, rows, names, direction, tolerance=1e-10):
    found = torch.cat([dict(model.named_parameters())[name].grad.flatten().double() for name in names])
    torch.testing.assert_close(found, direction, rtol=tolerance, atol=tolerance * float(direction.abs().max()))
    for task, head in enumerate(model.heads):
        wanted = rows[task][f"heads.{task}.weight"] / K
        torch.testing.assert_close(head.weight.grad, wanted, rtol=tolerance, atol=tolerance)


def reasons_of(balancer):
    return {name: (layer.engine, layer.reason) for layer in balancer.plan.layers for name in layer.parameters}


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("method", [eq.MGDA(), eq.CAGrad()], ids=repr)
@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        (Plain, "ghost", "ghost"),
        (Turned, "ghost", "ghost"),
        (Reused, ("direct", "used 2 times"), "ghost"),
        (Tied, ("direct", "used 2 times"), None),
    ],
)
def test_a_weight_that_is_used_more_than_once_is_differentiated_and_the_plan_says_so(
    kind, first, second, method, two_phase
):
    model, x = kind(), data()
    rows = rows_of(model, x)
    balancer = eq.Balancer(method, model=model)
    z, losses = model(x)
    balancer(losses, features=z if two_phase else None).backward()
    names = in_trunk(rows)
    assert_received(model, rows, names, eq.direction(method, flat(rows, names), [loss.item() for loss in losses]))
    reasons = reasons_of(balancer)
    for name, wanted in (("first.weight", first), ("second.weight", second)):
        if wanted is None:
            assert name not in reasons
        else:
            assert reasons[name] == wanted or reasons[name][0] == wanted


@pytest.mark.parametrize("two_phase", [True, False])
def test_weights_cast_by_autocast_are_differentiated_and_the_plan_says_so(two_phase):
    model = Plain().float()
    x = data().float()

    def run(inputs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            z, losses = model(inputs)
        return z, [loss.float() for loss in losses]

    rows = rows_of(model, x, run)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    z, losses = run(x)
    balancer(losses, features=z if two_phase else None).backward()
    names = in_trunk(rows)
    assert_received(model, rows, names, eq.direction(eq.MGDA(), flat(rows, names)), tolerance=1e-5)
    reasons = reasons_of(balancer)
    for name in ("first.weight", "second.weight"):
        assert reasons[name] == ("direct", "cast or moved before use (autocast)")


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("batches", [2, 3])
def test_two_batches_need_the_jacobian_and_the_plan_says_so(batches, two_phase):
    model, method = Plain(), eq.MoDo(gamma=0.3)
    all_rows = [rows_of(model, data(seed)) for seed in (1, 2, 3)]
    names = in_trunk(all_rows[0])
    left, right = (flat(all_rows[i], names) for i in ((0, 1) if batches == 2 else (1, 2)))
    step = eq.methods.Step(Tasks(tuple(f"task{i}" for i in range(K))), cross_gramian=left @ right.T)
    weights = method.weights(left @ left.T, method.init(K), step).value
    balancer = eq.Balancer(method, model=model)
    z, losses = model(data(1))
    more = {"second": model(data(2))[1]} | ({"third": model(data(3))[1]} if batches == 3 else {})
    balancer(losses, features=z if two_phase else None, **more).backward()
    torch.testing.assert_close(balancer.last.weights, weights)
    assert_received(model, all_rows[0], names, weights @ flat(all_rows[0], names))
    reasons = reasons_of(balancer)
    assert reasons["first.weight"] == reasons["second.weight"] == ("direct", "the Jacobian was asked for")
    assert balancer.plan.passes == 2 * K
    assert balancer.plan.reason.startswith("two batches for the weights; ")


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("kind", [Plain, Reused])
@pytest.mark.parametrize("granularity", ["module", "tensor"])
def test_groups_of_parameters_keep_the_cheaper_way_where_there_is_one(granularity, kind, two_phase):
    model, x, method = kind(), data(), eq.MGDA()
    rows = rows_of(model, x)
    balancer = eq.Balancer(method, model=model, granularity=granularity)
    z, losses = model(x)
    balancer(losses, features=z if two_phase else None).backward()
    groups: dict[str, list[str]] = {}
    for name in in_trunk(rows):
        groups.setdefault(name.rpartition(".")[0] if granularity == "module" else name, []).append(name)
    assert set(balancer.last.groups) == set(groups)
    for names in groups.values():
        assert_received(model, rows, names, eq.direction(method, flat(rows, names)))
    reasons = reasons_of(balancer)
    assert reasons["second.weight"][0] == "ghost"
    assert reasons["first.weight"][0] == ("direct" if kind is Reused else "ghost")


def test_accumulated_micro_batches_and_jacobian_methods_say_that_they_need_the_jacobian():
    model = Plain()
    for balancer, calls in ((eq.Balancer(eq.MGDA(), model=model), 2), (eq.Balancer(eq.GradDrop(), model=model), 1)):
        balancer.accumulate(calls)
        for seed in range(calls):
            z, losses = model(data(seed))
            balancer(losses, features=z).backward()
        assert reasons_of(balancer)["first.weight"] == ("direct", "the Jacobian was asked for")
