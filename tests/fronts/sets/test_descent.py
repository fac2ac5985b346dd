"""Adam in a box: its own formula inside, exact bounds, and no memory of gradients that pushed out."""

import torch

from equipoise.fronts.sets.descent import Descent


def test_without_bounds_it_is_adam():
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=draw, dtype=torch.float64)
    parameter = torch.nn.Parameter(start.clone())
    adam = torch.optim.Adam([parameter], lr=0.01, betas=(0.9, 0.99), eps=0.0)
    ours = Descent(start.clone(), None, None, torch.ones(4, dtype=torch.float64))
    for _ in range(20):
        gradient = torch.randn(3, 4, generator=draw, dtype=torch.float64)
        parameter.grad = gradient
        adam.step()
        ours.step(gradient, 0.01)
    assert torch.allclose(ours.points, parameter.detach(), rtol=1e-12)


def test_bounds_hold_exactly_and_are_left_at_once():
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    ours = Descent(torch.full((1, 1), 0.05, dtype=torch.float64), zero, one, one)
    down = torch.ones(1, 1, dtype=torch.float64)
    for _ in range(200):
        ours.step(down, 0.01)
        assert 0 <= ours.points.item() <= 1
    assert ours.points.item() == 0.0
    ours.step(-down, 0.01)
    assert ours.points.item() > 0.0
