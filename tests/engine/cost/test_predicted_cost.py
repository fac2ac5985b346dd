"""Predicted costs against the operations that PyTorch counts."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import equipoise as eq
from equipoise.engine.cost.plan import predict, predict_sequential, visits
from equipoise.engine.graph.autograd_graph import read_graph

K = 6


class Deep(nn.Module):
    """A trunk and heads of several layers; the first layer is small, because no gradient of the data is asked for."""

    def __init__(self, head=96, depth=2):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            wide = [nn.Linear(4, 160), *(nn.Linear(160, 160) for _ in range(depth))]
            self.trunk = nn.Sequential(*[part for layer in wide for part in (layer, nn.Tanh())])
            self.heads = nn.ModuleList(
                [nn.Sequential(nn.Linear(160, head), nn.Tanh(), nn.Linear(head, 1)) for _ in range(K)]
            )
            self.x = torch.randn(400, 4)

    def forward(self):
        z = self.trunk(self.x)
        return z, {f"t{i}": head(z).square().mean() for i, head in enumerate(self.heads)}


def operations(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def plain(model):
    return operations(lambda: torch.stack(list(model()[1].values())).sum().backward())


def balanced(model, balancer, two_phase):
    def run():
        z, losses = model()
        balancer(losses, features=z if two_phase else None).backward()

    return operations(run)


WAYS = {
    "exact": {},
    "recompute": {"mode": "recompute"},
    "sketch": {"gradients": eq.Sketch(16)},
    "features": {"gradients": eq.Features()},
    "layer": {"layer": True},
}


@pytest.mark.parametrize("two_phase", [True, False])
@pytest.mark.parametrize("head", [2, 96, 400])
@pytest.mark.parametrize("name", list(WAYS))
def test_the_predicted_cost_is_the_share_of_operations(name, head, two_phase):
    model, more = Deep(head), dict(WAYS[name])
    two_phase = two_phase or name == "features"
    if "layer" in more:
        more["layer"] = model.trunk[2]
    balancer = eq.Balancer(eq.MGDA(), model=model, **more)
    base = plain(model)
    for _ in range(2):  # in the first step nothing is known of the parameters
        found = balanced(model, balancer, two_phase) / base
    # products of gradients are not part of the prediction of direct ways; without features recompute is the losses'
    assert balancer.plan.cost == pytest.approx(found, rel=0.1)


def test_a_head_counts_once_and_the_trunk_once_for_each_loss():
    model = Deep()
    z, losses = model()
    graph = read_graph(losses.values())
    counts = visits(graph, list(losses.values()))
    assert counts[z.grad_fn] == K
    for loss in losses.values():
        assert counts[loss.grad_fn] == 1
    for head in model.heads:
        assert {counts[node] for node, _ in graph.users(head[0].weight)} == {1}


def test_losses_that_share_everything_cost_the_same_in_both_orders():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.Linear(30, 20)
        z = layer(torch.randn(5, 30))
    losses = [z[:, i].square().mean() for i in range(4)]
    graph = read_graph(losses)
    assert predict_sequential(graph, losses) == pytest.approx(predict(graph, graph.nodes, 4, ()))
    assert predict_sequential(graph, losses) == pytest.approx((1 + 2 * 4) / 3)


def test_a_graph_without_known_products_has_no_predicted_cost():
    w = torch.ones(3, requires_grad=True)
    losses = [w.sum(), w.square().sum()]
    assert predict_sequential(read_graph(losses), losses) is None
