"""A task whose float32 gradient is about 1e-39: weights that float32 cannot hold, products that it can."""

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import NonFiniteError


def step(method, size, dtype=torch.float32, **settings):
    """Two ordinary tasks and one whose gradient is `size` times that of an ordinary one."""
    shared = nn.Parameter(torch.tensor([0.5, -0.25, 1.0], dtype=dtype))
    other = nn.Parameter(torch.tensor([2.0], dtype=dtype))
    balancer = eq.Balancer(method, shared=[shared, other], **settings)
    pulls = torch.tensor([[1.0, 0.2, 0.0], [0.1, 1.0, 0.3], [0.0, -0.3, 1.0]], dtype=dtype)
    losses = [(pulls[row] * shared).sum() * other.sum() * (size if row == 2 else 1.0) for row in range(3)]
    balancer(dict(zip("abc", losses, strict=True))).backward()
    return torch.cat([shared.grad, other.grad]).double(), balancer.last


@pytest.mark.parametrize("granularity", ["model", "tensor"])
@pytest.mark.parametrize("method", [eq.NashMTL(), eq.FairGrad(), eq.CAGrad(c=0.9), eq.ConFIG()], ids=repr)
def test_the_mixture_is_that_of_float64(method, granularity):
    found, last = step(method, 1e-39, granularity=granularity)
    wanted, _ = step(method, 1e-39, torch.float64, granularity=granularity)
    assert last.status.ok
    # the small gradient has six digits in float32
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_weights_that_go_through_the_losses_are_refused_by_name_where_they_do_not_fit():
    with pytest.raises(NonFiniteError, match=r"weights must be finite in the type of the losses; one is 4.13e[+]38"):
        step(eq.FairGrad(), 1e-39, mode="recompute")


def test_a_direction_that_leaves_float32_is_refused():
    # of degree (1 - alpha) / (1 + alpha) near -1: the direction itself is as long as the gradients are short
    shared = nn.Parameter(torch.tensor([0.5, -0.25]))
    balancer = eq.Balancer(eq.FairGrad(alpha=200.0), shared=[shared])
    losses = {"a": shared[0] * 1e-39, "b": shared[1] * 1e-39}
    with pytest.raises(NonFiniteError, match="must be finite in the type of the parameters"):
        balancer(losses).backward()
