"""Gradients at the features kept as products, against autograd's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from equipoise.engine.blocks import factored as factors_module
from equipoise.engine.blocks.dense import Jacobian
from equipoise.engine.blocks.factored import FactoredRows
from equipoise.engine.blocks.joint_rows import JointRows
from tests.engine.at_once import at_once, filled, flat, near, one_by_one, pairs

modest = settings(deadline=None, max_examples=40)


class Network:
    """Features of several sizes, and heads that each begin with linear layers of some of them."""

    def __init__(self, sizes, layers, dtype=torch.float64, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            trunk = nn.Linear(3, 24 * 24).to(dtype)  # of all features, those that no head takes among them
            inputs = torch.randn(len(sizes), 3, dtype=dtype)
            self.features = tuple(
                torch.tanh(trunk(row))[: height * width].reshape(height, width)
                for row, (height, width) in zip(inputs, sizes, strict=True)
            )
            self.layers = [[nn.Linear(sizes[n][1], width).to(dtype) for n, width in head] for head in layers]
        self.losses = [
            sum(layer(self.features[n]).sin().square().mean() for layer, (n, _) in zip(made, head, strict=True))
            for made, head in zip(self.layers, layers, strict=True)
        ]
        self.rows = one_by_one(self.losses, self.features)
        self.dense = flat(self.rows, self.features)

    def factored(self):
        found = at_once(self.losses, self.features)
        assert found is not None
        assert isinstance(found[1], FactoredRows)
        return found


@st.composite
def networks(draw, dtype=torch.float64):
    """1 to 5 tasks; a head may take one feature, several, none of some, or one of them by two layers."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 24), st.integers(1, 24)), min_size=1, max_size=3))
    layer = st.tuples(st.integers(0, len(sizes) - 1), st.sampled_from([1, 2, 3, 4, 5, 40]))
    layers = draw(st.lists(st.lists(layer, min_size=1, max_size=3), min_size=1, max_size=5))
    return Network(sizes, layers, dtype, seed=draw(st.integers(0, 99)))


# --------------------------------------------------------------------------------------------------------- products


@modest
@given(networks())
def test_products_are_autograds_gradients_and_so_are_the_heads_own(network):
    own, found = network.factored()
    for (t, row), formed in zip(enumerate(network.rows), found.formed(), strict=True):
        assert [block is None for block in formed] == [block is None for block in row]
        assert [found.block(t, n) is None for n in range(len(row))] == [block is None for block in row]
        near(flat([formed], network.features), flat([row], network.features))
        assert all(
            block.shape == z.shape for block, z in zip(formed, network.features, strict=True) if block is not None
        )
        leaves = [p for layer in network.layers[t] for p in layer.parameters()]
        assert own[t].keys() == {id(leaf) for leaf in leaves}
        for leaf, wanted in zip(leaves, one_by_one([network.losses[t]], leaves)[0], strict=True):
            near(own[t][id(leaf)], wanted)
    assert found.reaching() == [
        {t for t, row in enumerate(network.rows) if row[n] is not None} for n in range(len(network.features))
    ]


@modest
@given(networks())
def test_the_gramian_is_that_of_the_formed_rows(network):
    gramian = network.factored()[1].gramian()
    assert gramian.dtype == torch.float64
    assert torch.equal(gramian, gramian.T)
    near(gramian, network.dense @ network.dense.T)


@modest
@given(networks(), st.integers(0, 99))
def test_a_mixture_is_the_weighted_sum_of_the_formed_rows(network, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(len(network.losses), generator=generator, dtype=torch.float64)
    mixed = network.factored()[1].combine(weights)
    assert [block is None for block in mixed] == [
        all(row[n] is None for row in network.rows) for n in range(len(network.features))
    ]
    near(flat([mixed], network.features)[0], weights @ network.dense)


@modest
@given(networks(), st.data())
def test_some_of_the_rows_in_any_order_are_those_rows(network, data):
    chosen = data.draw(st.lists(st.integers(0, len(network.losses) - 1), min_size=1, unique=True))
    found = network.factored()[1].only(chosen)
    wanted = network.dense[chosen]
    assert found.count == len(chosen)
    near(flat(found.formed(), network.features), wanted)
    near(found.gramian(), wanted @ wanted.T)
    weights = torch.linspace(-1, 2, len(chosen), dtype=torch.float64)
    near(flat([found.combine(weights)], network.features)[0], weights @ wanted)
    again = found.only(list(reversed(range(len(chosen)))))
    near(flat(again.formed(), network.features), wanted.flip(0))


@modest
@given(networks())
def test_the_joint_gradient_is_the_sum_and_names_every_row_with_its_tasks(network):
    found = network.factored()[1]
    rows = filled(network.rows, network.features)
    for number, feature in enumerate(network.features):
        if all(row[number] is None for row in network.rows):
            assert found.touched(number) is None
            assert found.total(number) is None
            continue
        near(found.total(number), sum(row[number] for row in rows))
        named = pairs(found.touched(number))
        touched = {(i, t) for t, row in enumerate(rows) for i in range(len(feature)) if bool(row[number][i].any())}
        assert touched <= named  # a row more only makes rows count as shared


@modest
@given(networks(torch.float32))
def test_in_float32_products_and_mixtures_are_as_good_as_the_formed_rows(network):
    found = network.factored()[1]
    near(found.gramian(), network.dense @ network.dense.T, 1e-5)
    weights = torch.linspace(-1, 2, len(network.losses), dtype=torch.float64)
    mixed = found.combine(weights)
    assert {block.dtype for block in mixed if block is not None} == {torch.float32}
    near(flat([mixed], network.features)[0], weights @ network.dense, 1e-5)


@pytest.mark.parametrize(("width", "formed"), [(1, 0), (40, 1)])
def test_rows_are_formed_where_heads_are_wide_and_both_ways_agree(width, formed, monkeypatch):
    class Counted(Jacobian):
        made = 0

        def gramian(self, products=torch.float64):
            Counted.made += 1
            return super().gramian(products)

    monkeypatch.setattr(factors_module, "Jacobian", Counted)
    network = Network([(9, 9)], [[(0, width)]] * 3)
    near(network.factored()[1].gramian(), network.dense @ network.dense.T)
    assert Counted.made == formed


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("width", [1, 2, 40])
@pytest.mark.parametrize("where", ["gradients", "weights"])
def test_what_is_not_finite_stays_with_its_task(where, width, value):
    network = Network([(6, 7), (5, 4)], [[(0, width), (1, 1)], [(1, 2), (0, width), (1, 3)], [(0, width)]])
    found = network.factored()[1]
    factors = found.factors[1]  # of the second feature, which the last task does not take
    column = int(torch.nonzero(factors.owner == 1)[0])
    if where == "gradients":
        factors.gradients[2, column] = value
    else:
        factors.weights[column, 3] = value
    finite = torch.isfinite(found.gramian())
    assert finite.tolist() == [[True, False, True], [False, False, False], [True, False, True]]
    assert found.nonfinite(0) is None
    assert found.nonfinite(2) is None
    feature, count, size = found.nonfinite(1)
    assert feature is network.features[1]
    assert (count, size) == ((4, 20) if where == "gradients" else (5, 20))
    kept = found.only([2, 0])
    near(flat(kept.formed(), network.features), network.dense[[2, 0]])
    near(kept.gramian(), network.dense[[2, 0]] @ network.dense[[2, 0]].T)
    bad = {i for i in range(5) if not torch.isfinite(found.total(1)[i]).all()}
    assert bad <= {row for row, task in pairs(found.touched(1)) if task == 1}


def test_columns_of_nearly_the_same_weights_lose_no_more_than_formed_rows():
    """Gradients of a softmax add up to zero, so what the columns have in common must not decide the products."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk, layers = nn.Linear(5, 64).double(), [nn.Linear(64, 4).double() for _ in range(3)]
    z = trunk(torch.randn(256, 5, generator=generator, dtype=torch.float64))
    with torch.no_grad():
        for head in layers:
            head.weight.copy_(head.weight[:1] + 1e-8 * torch.randn(4, 64, generator=generator, dtype=torch.float64))
    labels = torch.randint(0, 4, (256,), generator=generator)
    losses = [nn.functional.cross_entropy(head(z), labels) for head in layers]
    dense = flat(one_by_one(losses, (z,)), (z,))
    wanted = dense @ dense.T
    gramian = at_once(losses, (z,))[1].gramian()
    assert float((gramian - wanted).abs().max() / wanted.max()) < 1e-6


def test_a_head_with_an_infinite_weight_reaches_rows_that_it_has_no_label_for():
    network = Network([(6, 7)], [[(0, 2)], [(0, 1)]])
    z, labelled = network.features[0], torch.tensor([[1.0], [1.0], [1.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    with torch.no_grad():
        network.layers[1][0].weight[0, 2] = torch.inf
    outputs = [torch.sigmoid(layers[0](z)) for layers in network.layers]
    losses = [(outputs[0] * labelled).sum(), (outputs[1] * (1 - labelled)).sum()]
    found = at_once(losses, (z,))[1]
    rows = one_by_one(losses, (z,))
    assert {i for i in range(6) if not torch.isfinite(rows[1][0][i]).all()} == set(range(6))  # zero times inf
    assert {row for row, task in pairs(found.touched(0)) if task == 1} == set(range(6))
    assert JointRows.of(found) is None
