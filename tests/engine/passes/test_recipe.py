"""Steps of small models that go straight: the numbers are those of the dense reference, and any change is seen."""

import contextlib
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from tests.engine.comparing import close, gradients
from tests.engine.problems import TwoPart, batch, dense_gradients, wanted

METHODS = [eq.CAGrad(), eq.MGDA(), eq.UPGrad(), eq.NashMTL(), eq.AlignedMTL()]


class Many(TwoPart):
    """A trunk with what small networks use, and heads of several kinds."""

    def __init__(self, k=4, kinds=("linear",)):
        super().__init__(k)
        self.norm, self.gate = nn.LayerNorm(8).double(), nn.Linear(8, 6).double()
        heads = {
            "linear": lambda: nn.Linear(6, 1),
            "wide": lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 1)),
            "late": lambda: nn.Sequential(nn.Tanh(), nn.Linear(6, 1)),
        }
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.heads = nn.ModuleList([heads[kinds[i % len(kinds)]]() for i in range(k)]).double()

    def features(self, x):
        h = self.norm(torch.nn.functional.silu(self.trunk[0](x)))
        return torch.relu(self.trunk[2](h)) * torch.sigmoid(self.gate(h)) + 0.1


def used(balancer):
    return balancer.tools.recipes.used, balancer.tools.recipes.written


def stepped(balancer, model, x, y, features=True, absent=()):
    model.zero_grad()
    z = model.features(x)
    losses = model.losses(z, y)
    losses.update(dict.fromkeys(absent))
    balancer(losses, features=z if features else None).backward()
    return losses


@pytest.mark.parametrize("features", [True, False])
@pytest.mark.parametrize("kinds", [("linear",), ("wide", "linear"), ("late",), ("linear", "late")], ids=str)
@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_straight_steps_give_the_method_s_direction(method, k, kinds, features):
    model = Many(k, kinds)
    balancer = eq.Balancer(method, model=model)
    for seed in range(4):
        x, y = batch(k, seed=seed)
        losses = stepped(balancer, model, x, y, features)
        found = gradients(model)
        rows = dense_gradients(model, lambda x=x, y=y: model.losses(model.features(x), y))
        target = wanted(model, rows, method, [float(loss.detach()) for loss in losses.values()])
        if not isinstance(method, eq.NashMTL):  # it keeps its weights from step to step
            close(found, target, 1e-7)
    assert used(balancer) == (2, 1)  # the first step shows who owns what, the second writes


def test_the_plan_says_that_the_model_is_small():
    model = TwoPart()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for _ in range(2):
        stepped(balancer, model, *batch())
    plan = balancer.plan
    assert (plan.engine, plan.passes) == ("two-phase", 3)
    assert [(layer.engine, layer.reason) for layer in plan.layers] == [("direct", "a small model")]
    assert plan.memory == 3 * sum(p.numel() for p in model.trunk.parameters()) * 8


def test_float32_rows_that_run_together_agree_with_single_passes():
    model = TwoPart(5, dtype=torch.float32)
    x, y = batch(5, dtype=torch.float32)
    straight, long = eq.Balancer(eq.CAGrad(), model=model), eq.Balancer(eq.CAGrad(), model=model)
    long.tools.recipes.written = 1000  # none is written any more
    for balancer in (straight, long):
        for _ in range(3):
            stepped(balancer, model, x, y)
    assert used(straight)[0] == 1
    assert used(long)[0] == 0
    torch.testing.assert_close(straight.last.gramian, long.last.gramian, rtol=1e-5, atol=1e-9)


def test_what_has_changed_is_seen_in_the_same_step():
    model, other = TwoPart(4), TwoPart(4, seed=5)
    balancer = eq.Balancer(eq.CAGrad(), model=model)

    def check(x, y, absent=(), features=model.features):
        model.zero_grad()
        present = lambda: {n: v for n, v in model.losses(features(x), y).items() if n not in absent}  # noqa: E731
        losses = present()
        balancer({**losses, **dict.fromkeys(absent)}).backward()
        found = gradients(model)
        rows = dense_gradients(model, present)
        close(found, wanted(model, rows, balancer.method, [float(v.detach()) for v in losses.values()]), 1e-7)

    x, y = batch(4)
    for _ in range(3):
        check(x, y)
    assert used(balancer) == (1, 1)
    check(*batch(4, n=7))  # another batch
    check(x, y, absent=("t1",))  # another set of tasks
    check(x, y, features=lambda x: torch.relu(model.features(x)))  # another branch
    check(x, y, features=lambda x: model.features(x) * 2.0)
    with torch.no_grad():
        model.trunk[0].weight.copy_(other.trunk[0].weight)  # numbers are no change
    check(x, y)
    model.trunk[0] = nn.Linear(5, 8).double()  # another parameter in the same place
    check(x, y)
    check(x, y)
    assert used(balancer)[0] >= 2


def test_a_hook_on_an_activation_acts_from_the_step_in_which_it_is_there():
    model = TwoPart(4)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    x, y = batch(4)
    for _ in range(3):
        stepped(balancer, model, x, y, features=False)
    assert used(balancer)[0] == 1

    def losses():
        h = torch.tanh(model.trunk[0](x))
        h.register_hook(lambda gradient: gradient * torch.linspace(0.1, 2.0, 8, dtype=torch.float64))
        return model.losses(torch.tanh(model.trunk[2](h)), y)

    model.zero_grad()
    values = losses()
    balancer(values).backward()
    found = gradients(model)
    rows = dense_gradients(model, losses)
    close(found, wanted(model, rows, balancer.method, [float(v.detach()) for v in values.values()]), 1e-7)
    assert used(balancer)[0] == 1


def test_a_hook_that_lies_on_a_part_of_the_graph_from_before_is_seen():
    model = TwoPart(4)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    x, y = batch(4)
    kept = torch.tanh(model.trunk[0](x))
    kept.register_hook(lambda gradient: gradient * torch.linspace(0.1, 2.0, 8, dtype=torch.float64))

    def losses():
        return model.losses(torch.tanh(model.trunk[2](kept)), y)

    for _ in range(4):
        model.zero_grad()
        values = losses()
        balancer(values, retain_graph=True).backward()
        found = gradients(model)
        rows = []
        for name in values:
            model.zero_grad()
            losses()[name].backward(retain_graph=True)
            rows.append({key: None if p.grad is None else p.grad.clone() for key, p in model.named_parameters()})
        close(found, wanted(model, rows, balancer.method, [float(v.detach()) for v in values.values()]), 1e-7)
    assert used(balancer) == (0, 0)


def test_checkpointed_activations_go_the_long_way_and_statistics_stay():
    model = TwoPart(3)
    model.trunk = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 6)).double()
    balancer = eq.Balancer(eq.MGDA(), model=model)
    x, y = batch(3)
    for number in range(4):
        model.zero_grad()
        z = checkpoint(model.trunk, x, use_reentrant=False)
        before = model.trunk[1].running_mean.clone()
        balancer(model.losses(z, y)).backward()
        assert torch.equal(model.trunk[1].running_mean, before), number
    assert used(balancer)[0] == 0


def test_collocation_points_that_require_grad_are_another_tensor_in_each_step():
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    balancer = eq.Balancer(eq.UPGrad(), model=net)

    def losses(points, edge):
        u = net(points)
        slope = torch.autograd.grad(u.sum(), points, create_graph=True)[0]
        return {"equation": (slope.sum(dim=1) - u[:, 0]).square().mean(), "edge": (net(edge)[:, 0] - 1).square().mean()}

    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        points = torch.rand(20, 2, generator=generator, dtype=torch.float64).requires_grad_()
        edge = torch.rand(10, 2, generator=generator, dtype=torch.float64)
        net.zero_grad()
        values = losses(points, edge)
        balancer(values).backward()
        found, at_points = gradients(net), points.grad.clone()
        rows = dense_gradients(net, lambda points=points, edge=edge: losses(points, edge))
        close(found, wanted(net, rows, balancer.method, [float(v.detach()) for v in values.values()]), 1e-7)
        points.grad = None
        (sum(losses(points, edge).values()) / 2).backward()
        torch.testing.assert_close(at_points, points.grad, rtol=1e-9, atol=1e-12)
    assert used(balancer) == (3, 1)


def test_a_graph_that_is_new_in_every_step_is_not_analysed_for_ever():
    model = TwoPart(3)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    for seed in range(25):
        x, y = batch(3, n=10 + seed)
        model.zero_grad()
        z = model.features(x)
        for _ in range(seed):
            z = z * 1.0
        balancer(model.losses(z, y)).backward()
    assert used(balancer)[0] == 0
    assert used(balancer)[1] < 10


def test_the_graph_is_freed_and_kept_as_in_any_step():
    model = TwoPart(3)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    x, y = batch(3)
    for _ in range(3):
        losses = stepped(balancer, model, x, y, features=False)
    assert used(balancer)[0] == 1
    with pytest.raises(RuntimeError, match="second time"):
        losses["t0"].backward()
    losses = model.losses(model.features(x), y)
    balancer(losses, retain_graph=True).backward()
    assert used(balancer)[0] == 2
    losses["t0"].backward()
    freed = model.losses(model.features(x), y)
    freed["t0"].backward()
    with pytest.raises(eq.errors.InputError, match="was already freed"):
        balancer(freed)


@pytest.mark.parametrize("scope", ["autocast", "none"])
def test_autocast_outside_changes_nothing(scope):
    model = TwoPart(4, dtype=torch.float32)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    x, y = batch(4, dtype=torch.float32)
    for _ in range(3):
        losses = model.losses(model.features(x), y)
        with torch.autocast("cpu", torch.bfloat16) if scope == "autocast" else contextlib.nullcontext():
            balancer(losses).backward()
    assert used(balancer)[0] == 1
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    names = [name for name, _ in model.trunk.named_parameters(prefix="trunk")]
    jacobian = torch.stack([torch.cat([row[name].flatten() for name in names]) for row in rows]).double()
    torch.testing.assert_close(balancer.last.gramian, jacobian @ jacobian.T, rtol=1e-5, atol=1e-9)


def test_a_parameter_that_is_gone_leaves_no_trace():
    model = TwoPart(3)
    balancer = eq.Balancer(eq.MGDA())
    x, y = batch(3)
    for _ in range(3):
        stepped(balancer, model, x, y)
    watched = weakref.ref(model.trunk[0].weight)
    del model
    assert watched() is None


def test_memory_limits_are_kept():
    model = TwoPart(3)
    x, y = batch(3)
    balancer = eq.Balancer(eq.MGDA(), model=model, memory_limit=1500)
    for _ in range(3):
        stepped(balancer, model, x, y)
    assert balancer.plan.engine == "streaming"
    assert used(balancer)[0] == 0


@pytest.mark.parametrize("method", [eq.MGDA(), eq.MGDAUB()], ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("kinds", [("linear",), ("wide", "linear")], ids=str)
def test_weights_from_the_features_go_straight_for_any_trunk(kinds, method):
    model = Many(4, kinds).float()
    x, y = batch(4, dtype=torch.float32)
    mode = {} if isinstance(method, eq.MGDAUB) else {"gradients": eq.Features()}
    found = []
    for written in (0, 1000):
        balancer = eq.Balancer(method, model=model, **mode)
        balancer.tools.recipes.written = written
        for _ in range(3):
            stepped(balancer, model, x, y)
        found.append((balancer.last.gramian, gradients(model), balancer.plan))
        assert balancer.tools.recipes.used == (2 if written == 0 else 0)
    size = float(found[1][0].max())  # entries that cancel are known to rounding of this
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=1e-6 * size)
    close(found[0][1], found[1][1], 1e-6)
    assert found[0][2] == found[1][2]
    balancer = eq.Balancer(method, model=model, **mode)
    for _ in range(2):
        stepped(balancer, model, x, y)
    hooked = model.features(x)
    hooked.register_hook(lambda gradient: gradient * 0.5)
    balancer(model.losses(hooked, y), features=hooked).backward()
    assert balancer.tools.recipes.used == 1
    torch.testing.assert_close(balancer.last.gramian, found[1][0] / 4, rtol=1e-6, atol=1e-6 * size)


class Branched(nn.Module):
    """Tasks 0 and 1 have a second trunk for themselves; tasks 2 and 3 take the first as it is."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(2)
            self.first, self.second = nn.Linear(5, 6).double(), nn.Linear(6, 6).double()
            self.heads = nn.ModuleList([nn.Linear(6, 1) for _ in range(4)]).double()

    def losses(self, x, y):
        z = torch.tanh(self.first(x))
        taken = [torch.tanh(self.second(z))] * 2 + [z] * 2
        pairs = zip(self.heads, taken, strict=True)
        return {f"t{i}": (head(h)[:, 0] - y[:, i]).square().mean() for i, (head, h) in enumerate(pairs)}


def test_a_shared_branch_that_one_present_task_uses_keeps_its_gradient():
    model, balancer = Branched(), eq.Balancer(eq.CAGrad())
    x, y = batch(4)
    for absent in [(), (), ("t1",), ("t1",), ("t0", "t1"), ("t0", "t1"), ()]:
        model.zero_grad()
        present = lambda absent=absent: {n: v for n, v in model.losses(x, y).items() if n not in absent}  # noqa: E731
        balancer({**present(), **dict.fromkeys(absent)}).backward()
        agrees(model, balancer.method, present, lambda name: name.startswith(("first", "second")))
    assert used(balancer)[0] >= 2


def agrees(model, method, losses, is_shared):
    """Whether the shared parameters have received the method's direction."""
    found = gradients(model)
    rows = dense_gradients(model, losses)
    chosen = [(name, parameter) for name, parameter in model.named_parameters() if is_shared(name)]

    def flat(row):
        return torch.cat([(torch.zeros_like(p) if row[n] is None else row[n]).flatten() for n, p in chosen])

    direction = eq.direction(
        method, torch.stack([flat(row) for row in rows]), [float(v.detach()) for v in losses().values()]
    )
    torch.testing.assert_close(flat(found), direction, rtol=1e-7, atol=1e-9)


def test_a_loss_that_is_made_of_another_one():
    model, balancer = TwoPart(3), eq.Balancer(eq.UPGrad())
    x, y = batch(3)

    def losses():
        found = model.losses(model.features(x), y)
        return found | {"t3": 2.0 * found["t0"] + found["t1"].sqrt()}

    for _ in range(4):
        model.zero_grad()
        balancer(losses()).backward()
        agrees(model, balancer.method, losses, lambda name: name.startswith(("trunk", "heads.0", "heads.1")))


@pytest.mark.parametrize("sparse", [True, False])
def test_embeddings(sparse):
    table = nn.Embedding(7, 5, sparse=sparse).double()
    model = TwoPart(3)
    balancer = eq.Balancer(eq.MGDA())
    codes, (_, y) = torch.arange(16) % 5, batch(3)
    whole = nn.ModuleList([table, model])
    for _ in range(4):
        whole.zero_grad()
        balancer(model.losses(model.features(table(codes)), y)).backward()
        gradient = table.weight.grad
        assert gradient.is_sparse is sparse
    assert used(balancer)[0] == (0 if sparse else 2)
    rows = dense_gradients(whole, lambda: model.losses(model.features(table(codes)), y))
    expected = sum(w * r["0.weight"].to_dense() for w, r in zip(balancer.last.weights, rows, strict=True))
    torch.testing.assert_close(gradient.to_dense(), expected, rtol=1e-7, atol=1e-12)


def test_a_product_that_is_scaled_in_one_step_is_seen():
    model, balancer = TwoPart(4), eq.Balancer(eq.MGDA())
    x, y = batch(4)

    def losses(alpha):
        h = torch.tanh(torch.addmm(model.trunk[0].bias, x, model.trunk[0].weight.t()))
        z = torch.tanh(torch.addmm(model.trunk[2].bias, h, model.trunk[2].weight.t(), alpha=alpha))
        return model.losses(z, y)

    for alpha in (1.0, 1.0, 1.0, 0.5, 1.0):
        model.zero_grad()
        balancer(losses(alpha)).backward()
        found = gradients(model)
        rows = dense_gradients(model, lambda alpha=alpha: losses(alpha))
        close(found, wanted(model, rows, balancer.method, [float(v.detach()) for v in losses(alpha).values()]), 1e-7)
    assert used(balancer)[0] == 2
