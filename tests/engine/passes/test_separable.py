"""Tasks that own their rows: one pass, the same numbers; and every case in which rows may mix is left alone."""

import re

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.engine import Ownership
from equipoise.engine.blocks.joint_rows import JointRows
from equipoise.engine.blocks.separable import SeparableRows
from equipoise.engine.passes.exact import differentiate
from tests.engine.problems import dense_gradients

K, ROWS = 3, 13
OWNER = torch.tensor([0, 1, 2, 2, 1, -1, 0, 0, 2, 1, 0, -1, 2])


class Owned(nn.Module):
    """A trunk, and tasks that each have labels for rows of their own."""

    def __init__(self, *trunk: nn.Module, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.trunk = nn.Sequential(*trunk).to(dtype)
            self.heads = nn.ModuleList([nn.Linear(8, 1) for _ in range(K)]).to(dtype)

    def losses(self, x, masked):
        z = self.trunk(x)
        if masked:  # every head sees every row; labels are missing
            errors = [(head(z)[..., 0] - 1).square() for head in self.heads]
            rows = [(t == OWNER).to(x) for t in range(K)]
            rows = [row.reshape(-1, *[1] * (z.dim() - 2)) for row in rows]
            return [(e * row).sum() / row.sum() for e, row in zip(errors, rows, strict=True)], z
        return [(head(z[t == OWNER]) - 1).square().mean() for t, head in enumerate(self.heads)], z


def trunks():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return {
            "linear": (nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh()),
            "one bias, norm": (nn.Linear(6, 8, bias=False), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 8), nn.SiLU()),
            "norm without scale": (nn.Linear(6, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 8)),
            "dropout": (nn.Linear(6, 8), nn.Dropout(0.5), nn.ELU(), nn.Linear(8, 8), nn.Dropout(0.1)),
        }


def batch(dtype=torch.float64, *, time=0):
    generator = torch.Generator().manual_seed(2)
    shape = (ROWS, time, 6) if time else (ROWS, 6)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def one_backward_a_task(model, x, masked):
    def losses():
        with torch.random.fork_rng():
            torch.manual_seed(4)
            return dict(zip("abc", model.losses(x, masked)[0], strict=True))

    return dense_gradients(model, losses)


def found_by(model, x, masked, **options):
    ownership = Ownership(model)
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(4)
            losses, z = model.losses(x, masked)
        found = differentiate(losses, range(K), ownership, features=(z,), **options)
    return found, ownership


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("time", [0, 4])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", list(trunks()))
def test_one_pass_gives_the_dense_numbers(name, masked, time, dtype, tolerance):
    model, x = Owned(*trunks()[name], dtype=dtype), batch(dtype, time=time)
    rows = one_backward_a_task(model, x, masked)
    found, ownership = found_by(model, x, masked)
    assert (found.plan.engine, found.plan.passes) == ("separable", 1)
    names = [key for key in rows[0] if key.startswith("trunk")]
    jacobian = torch.stack([torch.cat([row[key].double().flatten() for key in names]) for row in rows])
    wanted = jacobian @ jacobian.T
    torch.testing.assert_close(found.gramian(), wanted, rtol=tolerance, atol=tolerance * float(wanted.diagonal().max()))
    weights = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    blocks = {ownership.name(leaf): block for leaf, block in found.combine(weights)}
    assert set(blocks) == set(names)
    for key in names:
        mixture = sum(w * row[key].double() for w, row in zip(weights, rows, strict=True))
        torch.testing.assert_close(blocks[key].double(), mixture, rtol=tolerance, atol=tolerance)
    own = {ownership.name(leaf): gradient for leaf, gradients in found.own for _, gradient in gradients}
    for number, row in enumerate(rows):
        torch.testing.assert_close(own[f"heads.{number}.weight"], row[f"heads.{number}.weight"])


def test_many_rows_take_the_gradients_themselves():
    model, x = Owned(nn.Linear(6, 8)), batch(time=60)
    found, _ = found_by(model, x, masked=True)
    other, _ = found_by(model, x, masked=True, allow=())
    assert found.plan.engine == "separable"
    torch.testing.assert_close(found.gramian(), other.gramian(), rtol=1e-12, atol=1e-14)


def test_some_of_the_tasks_are_those_of_fewer():
    model, x = Owned(*trunks()["linear"]), batch()
    found, _ = found_by(model, x, masked=False)
    fewer, weights = found.only([2, 0]), torch.tensor([0.25, 0.75], dtype=torch.float64)
    torch.testing.assert_close(fewer.gramian(), found.gramian()[[2, 0]][:, [2, 0]])
    whole = found.combine(torch.tensor([0.75, 0.0, 0.25], dtype=torch.float64))
    for (_, left), (_, right) in zip(fewer.combine(weights), whole, strict=True):
        torch.testing.assert_close(left, right)


class Permuted(nn.Module):
    def forward(self, x):
        return x.flip(0)


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(dim=0)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8, dtype=torch.float64))

    def forward(self, x):
        return x * self.scale


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8).double()

    def forward(self, x):
        return self.layer(self.layer(x))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(8), "NativeBatchNormBackward0 is not known"),
        (Centred(), "SubBackward0 joins tensors of different shapes"),
        (Permuted(), "FlipBackward0 is not known"),
        (Scaled(), "MulBackward0 joins tensors of different shapes, or a parameter"),
        (Twice(), r"is used in another way than by one layer|not known"),
    ],
    ids=["batch norm", "centred", "permuted", "scaled", "used twice"],
)
def test_where_rows_may_mix_the_plan_says_why_and_the_numbers_are_right(layer, reason):
    model, x = Owned(nn.Linear(6, 8), layer, nn.Linear(8, 8)), batch()
    rows = one_backward_a_task(model, x, masked=False)
    found, _ = found_by(model, x, masked=False)
    names = [key for key in rows[0] if key.startswith("trunk")]
    jacobian = torch.stack([torch.cat([row[key].flatten() for key in names]) for row in rows])
    torch.testing.assert_close(found.gramian(), jacobian @ jacobian.T, rtol=1e-12, atol=1e-12)
    assert found.plan.engine == "two-phase"
    assert re.search("tasks own their rows, but .*(" + reason + ")", found.plan.reason)


def test_rows_that_two_tasks_share_are_seen_whichever_tasks_they_are():
    free = [torch.zeros(4, 3) for _ in range(3)]
    free[0][0], free[1][1, 2], free[2][3] = 1.0, 1.0, 1.0

    def joined(gradients):
        joint = JointRows([torch.zeros(4, 3)])
        return [joint.add([gradient]) for gradient in gradients], joint

    added, joint = joined(free)
    assert added == [True, True, True]
    assert joint.owner.tolist() == [0, 1, -1, 2]
    for (found,), gradient in zip(joint.apart(), free, strict=True):
        assert torch.equal(found, gradient)
    for other, row in ((1, 0), (2, 0), (2, 1)):
        shared = [g.clone() for g in free]
        shared[other][row, 1] = 1e-30
        assert joined(shared)[0][other] is False
    added, joint = joined([free[0], None, free[2]])
    assert joint.owner.tolist() == [0, -1, -1, 2]
    assert joint.apart()[1] == [None]
    nan = free[0].clone()
    nan[1, 1] = torch.nan
    assert joined([nan, free[1]])[0] == [True, False]


@pytest.mark.parametrize("where", [0, 1, 2, 3])
def test_a_hook_on_an_activation_may_mix_rows_and_is_seen(where):
    model, x = Owned(*trunks()["linear"]), batch()

    def losses():
        tensors = [x]
        for layer in model.trunk:
            tensors.append(layer(tensors[-1]))
        tensors[1 + where].register_hook(lambda g: g - g.mean(dim=0))
        z = tensors[-1]
        return [(head(z[t == OWNER]) - 1).square().mean() for t, head in enumerate(model.heads)], z

    rows = dense_gradients(model, lambda: dict(zip("abc", losses()[0], strict=True)))
    names = [key for key in rows[0] if key.startswith("trunk")]
    jacobian = torch.stack([torch.cat([row[key].flatten() for key in names]) for row in rows])
    values, z = losses()
    found = differentiate(values, range(K), Ownership(model), features=(z,))
    torch.testing.assert_close(found.gramian(), jacobian @ jacobian.T, rtol=1e-12, atol=1e-14)
    if where < 3:  # a hook on the features themselves acts before
        assert found.plan.reason.endswith("tasks own their rows, but a hook acts on an activation")


def test_a_balancer_uses_it_and_says_so():
    model, x = Owned(*trunks()["linear"]), batch()
    rows = one_backward_a_task(model, x, masked=False)
    balancer = eq.Balancer(eq.MGDA(), model=model)
    losses, z = model.losses(x, masked=False)
    balancer(losses, features=z).backward()
    assert balancer.plan.engine == "separable"
    jacobian = torch.stack([torch.cat([r[k].flatten() for k in r if k.startswith("trunk")]) for r in rows])
    direction = eq.direction(eq.MGDA(), jacobian)
    found = torch.cat([p.grad.flatten() for n, p in model.named_parameters() if n.startswith("trunk")])
    torch.testing.assert_close(found, direction, rtol=1e-10, atol=1e-12)


def parted(rows, fan_in, fan_out, k, seed=0):
    """Rows of one layer in float32, task i mod k, the last two rows of nobody."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, fan_in, generator=generator)
    delta = torch.randn(rows, fan_out, generator=generator)
    owner = torch.arange(rows) % k
    owner[-2:] = -1
    return SeparableRows(torch.zeros(fan_out, fan_in), inputs, delta, owner, k, True)


def exact_products(part):
    """From weight gradients formed in float64, slow and obvious."""
    formed = []
    for task in range(part.count):
        mine = [row for row in range(len(part.owner)) if int(part.owner[row]) == task]
        formed.append((part.inputs[mine].double().T @ part.delta[mine].double()).flatten())
    rows = torch.stack(formed)
    return rows @ rows.T


@pytest.mark.parametrize(("rows", "k"), [(7, 2), (96, 3), (97, 5), (250, 10)])
def test_products_of_rows_are_exact_in_float64_and_bounded_in_float32(rows, k):
    part = parted(rows, 300, 200, k)
    wanted = exact_products(part)
    sizes = wanted.diagonal().sqrt()
    scale = sizes[:, None] * sizes
    assert float(((part.gramian() - wanted).abs() / scale).max()) < 1e-12
    rounded = part.rounded()
    assert rounded is not None
    found, errors = rounded
    assert float(((found - wanted).abs() / scale).max()) <= float(errors.max()) < 1e-4
    assert torch.equal(found, found.T)


def test_gradients_formed_for_the_products_give_the_same_mixture():
    part, weights = parted(600, 20, 10, 3), torch.tensor([0.2, -1.0, 3.0], dtype=torch.float64)
    (before,) = part.combine(weights)
    torch.testing.assert_close(part.gramian(), exact_products(part), rtol=1e-5, atol=1e-4)
    (after,) = part.combine(weights)
    by_hand = part.delta.T.double() @ (part.inputs * torch.cat([weights, torch.zeros(1)])[part.owner][:, None])
    for found in (before, after):
        torch.testing.assert_close(found.double(), by_hand, rtol=1e-5, atol=1e-4)


def test_nan_in_the_rows_of_one_task_stays_with_it():
    part = parted(60, 50, 40, 3)
    part.delta[1, 0] = torch.nan  # a row of task 1
    assert torch.isfinite(part.gramian().diagonal()).tolist() == [True, False, True]
    part.delta[1, 0] = torch.inf
    assert torch.isfinite(part.gramian().diagonal()).tolist() == [True, False, True]


def test_a_balancer_leaves_out_the_one_task_whose_rows_give_nan():
    torch.manual_seed(0)
    trunk, heads = nn.Sequential(nn.Linear(8, 16), nn.Tanh()), [nn.Linear(16, 1) for _ in range(3)]
    features = trunk(torch.randn(12, 8))
    losses = {str(i): head(features[i::3]).square().mean() for i, head in enumerate(heads)}
    losses["1"] = losses["1"] + (features[1::3] - features[1::3]).sum().sqrt()  # finite, its gradient is not
    balancer = eq.Balancer(eq.MGDA(), nonfinite="skip")
    balancer(losses, features=features).backward()
    assert balancer.plan.engine == "separable"
    assert balancer.counts["skipped 1"] == 1
    assert balancer.counts["skipped 0"] == balancer.counts["skipped 2"] == 0
    assert all(bool(torch.isfinite(parameter.grad).all()) for parameter in trunk.parameters())
