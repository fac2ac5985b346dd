"""What Balancer tests have in common: every method, and gradients side by side."""

import torch
from torch import nn

import equipoise as eq


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
