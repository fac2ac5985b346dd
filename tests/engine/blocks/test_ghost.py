"""The ghost engine: products of weight gradients that were never formed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from equipoise.engine import Jacobian, Ownership
from equipoise.engine.blocks.ghost import LinearRows, triangular_factor
from equipoise.engine.blocks.low_rank import MixedRows, find_dependence
from equipoise.engine.graph.autograd_graph import read_graph
from equipoise.engine.graph.linear_layers import LinearSite, find_linear_site
from equipoise.engine.passes.exact import differentiate


def layer_rows(rows, fan_in, fan_out, k, dtype=torch.float64, seed=0, transposed=True):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, fan_in, generator=generator, dtype=torch.float64).relu().to(dtype)
    deltas = [torch.randn(rows, fan_out, generator=generator, dtype=torch.float64).to(dtype) for _ in range(k)]
    shape = (fan_out, fan_in) if transposed else (fan_in, fan_out)
    return LinearRows(torch.zeros(shape, dtype=dtype), inputs, deltas, transposed)


def formed(part):
    """The weight gradients in float64, slow and obvious."""
    out = []
    for delta in part.deltas:
        if delta is None:
            out.append(torch.zeros(part.parameter.numel(), dtype=torch.float64))
            continue
        gradient = part.inputs.double().T @ delta.double()
        out.append((gradient.T if part.transposed else gradient).flatten())
    return torch.stack(out)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(1, 150),
    fan_in=st.integers(1, 40),
    fan_out=st.integers(1, 600),
    k=st.integers(1, 20),
    transposed=st.booleans(),
    absent=st.integers(0, 3),
)
def test_products_and_mixtures_are_those_of_the_formed_gradients(rows, fan_in, fan_out, k, transposed, absent):
    part = layer_rows(rows, fan_in, fan_out, k, transposed=transposed)
    part = LinearRows(
        part.parameter, part.inputs, [None if i < absent else d for i, d in enumerate(part.deltas)], transposed
    )
    jacobian = formed(part)
    wanted = jacobian @ jacobian.T
    scale = max(float(wanted.abs().max()), 1e-300)
    assert float((part.gramian() - wanted).abs().max()) <= 1e-12 * scale
    weights = torch.linspace(-1, 1, k, dtype=torch.float64)
    (block,) = part.combine(weights)
    if block is None:
        assert absent >= k
    else:
        torch.testing.assert_close(block.flatten(), weights @ jacobian, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6])
def test_gradients_that_nearly_cancel_keep_their_digits_and_stay_semidefinite(spread):
    part = layer_rows(100, 120, 30, 4, dtype=torch.float32)
    base = part.deltas[0]
    part = LinearRows(part.parameter, part.inputs, [base, *[base + spread * d for d in part.deltas[1:]]], True)
    found, jacobian = part.gramian(), formed(part)
    wanted = jacobian @ jacobian.T
    assert float((found - wanted).norm() / wanted.norm()) < 1e-6
    assert float(torch.linalg.eigvalsh(found)[0]) >= -1e-14 * float(found.trace())
    difference = torch.tensor([1.0, -1.0, 0.0, 0.0], dtype=torch.float64)
    assert float(difference @ found @ difference) == pytest.approx(
        float(difference @ wanted @ difference), rel=1e-5 / spread
    )


def test_the_triangular_factor_reproduces_the_products_of_the_inputs():
    for rows, fan_in in ((5, 9), (9, 5), (4, 4)):
        inputs = torch.randn(rows, fan_in, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        factor = triangular_factor(inputs)
        assert factor.shape == (min(rows, fan_in), rows)
        torch.testing.assert_close(factor.T @ factor, inputs @ inputs.T)
    torch.testing.assert_close(triangular_factor(torch.zeros(3, 4)), torch.zeros(3, 3))


def test_twenty_million_parameters_agree_with_float64_products_to_1e_10():
    part = layer_rows(32, 4608, 4400, 3, dtype=torch.float32)
    assert part.parameter.numel() > 20_000_000
    gradients = [part.row(task) for task in range(3)]
    direct = Jacobian([part.parameter], [[g] for g in gradients]).gramian()
    wanted = torch.zeros(3, 3, dtype=torch.float64)
    for start in range(0, 4400, 400):
        rows = torch.stack([g[start : start + 400].double().flatten() for g in gradients])
        wanted += rows @ rows.T
    assert float((direct - wanted).norm() / wanted.norm()) < 1e-13
    assert float((part.gramian() - wanted).norm() / wanted.norm()) < 1e-10


def test_what_is_not_one_linear_layer_is_not_taken_for_one():
    x, weight = torch.randn(5, 4), nn.Parameter(torch.randn(4, 4))

    def reason(build):
        graph = read_graph([build().sum()])
        return find_linear_site(graph, weight)

    assert isinstance(reason(lambda: x @ weight), LinearSite)
    assert isinstance(reason(lambda: x @ weight.T), LinearSite)
    assert isinstance(reason(lambda: nn.functional.linear(x, weight)), LinearSite)
    assert reason(lambda: (x @ weight) @ weight) == "used 2 times"
    assert reason(lambda: x @ weight + weight.sum()) == "used 2 times"
    assert reason(lambda: weight @ x.T) == "used by MmBackward0"
    assert reason(lambda: x @ (2 * weight)) == "used by MulBackward0"
    assert reason(lambda: torch.addmm(torch.zeros(4), x, weight, alpha=2)) == "scaled product"
    assert not isinstance(reason(lambda: torch.sparse.mm(x.to_sparse(), weight)), LinearSite)


def test_checkpointed_layers_are_not_computed_again_to_look_at_them():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x):
            calls.append(1)
            return super().forward(x)

    layer, x = Counted(64, 64).double(), torch.randn(4, 64, dtype=torch.float64, requires_grad=True)
    z = checkpoint(layer, x, use_reentrant=False)
    found = differentiate([z.square().mean(), z.sin().mean()], (0, 1), Ownership(layer))
    assert len(calls) == 1 + 2, "one forward, one more for each pass"
    reasons = {name: layer.reason for layer in found.plan.layers for name in layer.parameters}
    assert "saved-tensor hooks" in reasons["weight"]


def test_an_input_changed_in_place_raises():
    layer, x = nn.Linear(64, 64).double(), torch.randn(4, 64, dtype=torch.float64)
    z = layer(x)
    losses = [z.square().mean(), z.sin().mean(), z.cos().mean()]
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        differentiate(losses, (0, 1, 2), Ownership(layer))


@pytest.mark.parametrize("where", ["layer", "deep layer without bias", "activation", "features"])
@pytest.mark.parametrize("two_phase", [True, False])
def test_hooks_on_activations_act_once_on_every_pass_of_every_engine(where, two_phase):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        deep, layer = nn.Linear(64, 64, bias=False).double(), nn.Linear(64, 64).double()
        head, x = nn.Linear(64, 3).double(), torch.randn(4, 64, dtype=torch.float64)

    def run():
        inner = deep(x)
        a = torch.tanh(inner)
        h = layer(a)
        z = torch.tanh(h)
        tensor = {"layer": h, "deep layer without bias": inner, "activation": a, "features": z}[where]
        tensor.register_hook(lambda g: 3 * g.clamp(-1e-3, 1e-3))
        return [head(z)[:, i].square().mean() for i in range(3)], (z,) if two_phase else ()

    parameters = [deep.weight, layer.weight, layer.bias]
    rows = []
    for task in range(3):
        found = torch.autograd.grad(run()[0][task], parameters)
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    wanted = torch.stack(rows) @ torch.stack(rows).T
    for options in ({"allow": ()}, {}, {"memory": 130_000, "allow": ()}, {"memory": 14_000}):
        losses, features = run()
        ownership = Ownership(shared=parameters)
        gradients = differentiate(losses, range(3), ownership, features=features, **options)
        torch.testing.assert_close(gradients.gramian(), wanted, rtol=1e-12, atol=1e-16, msg=str(options))


def test_a_task_whose_gradient_is_zero_at_a_layer_does_not_reach_it():
    layer, head = nn.Linear(64, 64, bias=False).double(), nn.Linear(64, 3).double()
    z = layer(torch.randn(4, 64, dtype=torch.float64))
    losses = [head(z)[:, 0].square().mean(), head(z)[:, 1].square().mean(), (head(z)[:, 2] * 0).mean()]
    ownership = Ownership(layer)
    found = differentiate(losses, (0, 1, 2), ownership)
    assert ownership.reached["weight"] == [0, 1]
    assert found.gramian()[2].abs().sum() == 0


def test_dependent_tasks_are_not_sent_back_and_nothing_else_changes():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Linear(10, 40), nn.Tanh(), nn.Linear(40, 30), nn.Tanh()).double()
        x = torch.randn(6, 10, dtype=torch.float64)

    def losses():
        z = trunk(x)
        y = [z[:, 9 * i : 9 * i + 12].square().mean() for i in range(3)]
        return [y[0], y[0] * 3, y[1], 0.5 * y[0] - 2 * y[1], y[2], y[2] * 0], z

    found = {}
    for allow in ((), ("rank",), ("rank", "ghost")):
        ownership = Ownership()
        for _ in range(2):
            values, z = losses()
            found[allow] = differentiate(values, range(6), ownership, features=(z,), allow=allow)
    assert [found[allow].plan.passes for allow in found] == [6, 3, 3]
    assert "3 of 6 tasks are linear combinations of others" in found[("rank",)].plan.reason
    weights = torch.linspace(0.1, 1, 6, dtype=torch.float64)
    for allow in (("rank",), ("rank", "ghost")):
        torch.testing.assert_close(found[allow].gramian(), found[()].gramian(), rtol=1e-12, atol=1e-16)
        wanted = {id(leaf): block for leaf, block in found[()].combine(weights)}
        for leaf, block in found[allow].combine(weights):
            torch.testing.assert_close(block, wanted[id(leaf)], rtol=1e-12, atol=1e-14)
        fewer = found[allow].only([5, 3, 0])
        torch.testing.assert_close(
            fewer.gramian(), found[()].gramian()[[5, 3, 0]][:, [5, 3, 0]], rtol=1e-12, atol=1e-16
        )


def test_a_hook_that_is_not_linear_is_not_sent_combinations():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(10, 40).double(), nn.Linear(40, 30, bias=False).double()]
        x = torch.randn(6, 10, dtype=torch.float64)

    def losses():
        h = torch.tanh(layers[0](x))
        h.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
        z = torch.tanh(layers[1](h))
        y = [z[:, 9 * i : 9 * i + 12].square().mean() for i in range(3)]
        return [y[0], y[0] * 3, y[1], y[2]], z

    ownership = Ownership()
    for _ in range(2):
        values, z = losses()
        found = differentiate(values, range(4), ownership, features=(z,))
    values, z = losses()
    plain = differentiate(values, range(4), Ownership(), features=(z,), allow=())
    torch.testing.assert_close(found.gramian(), plain.gramian(), rtol=1e-12, atol=1e-16)
    assert found.plan.passes == 4


@settings(deadline=None, max_examples=30)
@given(k=st.integers(2, 6), rank=st.integers(1, 6), size=st.sampled_from([7, 50, 9000]), seed=st.integers(0, 99))
def test_the_rank_is_found_and_independent_tasks_are_left_alone(k, rank, size, seed):
    generator = torch.Generator().manual_seed(seed)
    rank = min(k, rank)
    base = torch.randn(rank, size, generator=generator, dtype=torch.float64)
    mix = torch.cat([torch.eye(rank), torch.randn(k - rank, rank, generator=generator)]).double()
    rows = mix @ base
    found = find_dependence([[row] for row in rows], [torch.zeros(size, dtype=torch.float64)])
    if rank == k:
        assert found is None
    else:
        assert len(found.basis) == rank
        torch.testing.assert_close(found.coefficients @ rows[list(found.basis)], rows)


def test_small_differences_are_not_rounded_away():
    row = torch.randn(500, generator=torch.Generator().manual_seed(0))
    near = row + 1e-4 * torch.randn(500, generator=torch.Generator().manual_seed(1))
    assert find_dependence([[row], [near]], [row]) is None
    assert find_dependence([[row], [row * 2]], [row]).basis in {(0,), (1,)}


def test_rows_mixed_from_others_name_the_place_of_nan():
    leaf = torch.zeros(2)
    part = MixedRows(Jacobian([leaf], [[torch.tensor([1.0, torch.nan])], [torch.ones(2)]]), torch.eye(2).double())
    assert part.nonfinite(0)[1:] == (1, 2)
    assert part.nonfinite(1) is None
