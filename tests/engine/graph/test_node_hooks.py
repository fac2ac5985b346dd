"""Hooks on the nodes of the trunk's graph: whatever engine would have passed them by is not taken."""

import pytest
import torch
from torch import nn

from equipoise.engine import Ownership, differentiate


def network(rows, owned):
    """A linear trunk layer with few rows, and heads that agree up to a factor or own their rows."""
    torch.manual_seed(0)
    trunk, heads = nn.Linear(40, 12).double(), [nn.Linear(12, 1).double() for _ in range(3)]
    with torch.no_grad():
        heads[2].weight.copy_(2 * heads[0].weight)
        heads[2].bias.copy_(2 * heads[0].bias)
    middle = trunk(torch.randn(rows, 40, dtype=torch.float64))
    z = torch.tanh(middle)
    outputs = [head(z[i::3] if owned else z)[:, 0] for i, head in enumerate(heads)]
    return trunk, middle, z, [output.sum() for output in outputs]


def twisted(gradients, _):
    """Keeps shapes; neither linear nor the same for each row."""
    return tuple(g if g is None else g * torch.arange(1.0, g.numel() + 1).to(g).reshape(g.shape).sin() + g**3
                 for g in gradients)  # fmt: skip


@pytest.mark.parametrize("where", ["middle", "features"])
@pytest.mark.parametrize(("allow", "owned"), [("ghost", False), ("rank", False), ("separable", True)])
def test_a_hook_on_a_node_of_the_trunk_acts_on_every_task(allow, owned, where):
    def run(hooked):
        trunk, middle, z, losses = network(6, owned)
        if hooked:
            (middle if where == "middle" else z).grad_fn.register_hook(twisted)
        ownership = Ownership(trunk)
        for _ in range(2):  # in the first step ownership is open, and the rank is not looked at
            found = differentiate(losses, range(3), ownership, features=[z], retain_graph=True, allow=(allow,))
        leaves = list(trunk.parameters())
        rows = [torch.cat([g.flatten() for g in torch.autograd.grad(x, leaves, retain_graph=True)]) for x in losses]
        jacobian = torch.stack(rows)
        torch.testing.assert_close(found.gramian(), jacobian @ jacobian.T, rtol=1e-12, atol=1e-12)
        return found.plan

    taken = {"ghost": "ghost", "rank": "linear combinations", "separable": "separable"}[allow]
    assert taken in str(run(hooked=False))
    plan = str(run(hooked=True))
    assert "separable:" not in plan
    assert "linear combinations" not in plan
    assert where == "features" or "ghost:" not in plan  # a hook behind the layer does not touch its weight's gradient
