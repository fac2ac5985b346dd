"""What Balancer tests have in common: every method, and gradients side by side."""

import torch
from torch import nn

import equipoise as eq

from .problems import batch


def every_method() -> dict[str, eq.methods.Method]:
    return {name: kind() for name, kind in eq.methods.table.items()}


def gradients(model: nn.Module) -> dict:
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def close(found: dict, target: dict, tolerance: float) -> None:
    for name, value in target.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name].double(), value.double(), rtol=tolerance, atol=tolerance, msg=name)


def losses_of(model, x, y):
    return model.losses(model.features(x), y)


def step(balancer, model, x, y, absent=()):
    """One balanced backward, with features; some tasks may be absent."""
    model.zero_grad()
    z = model.features(x)
    losses = model.losses(z, y)
    losses.update(dict.fromkeys(absent))
    loss = balancer(losses, features=z)
    loss.backward()
    return loss


def trained(model, balancer, seeds):
    """A step of gradient descent on each batch; the last gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for seed in seeds:
        optimizer.zero_grad()
        z = model.features(batch(seed=seed)[0])
        balancer(model.losses(z, batch(seed=seed)[1]), features=z).backward()
        optimizer.step()
    return gradients(model)
