"""Small networks with a shared trunk and a head a task, and the dense reference for what a Balancer must do."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import equipoise as eq


class TwoPart(nn.Module):
    """A trunk and one head a task."""

    def __init__(self, k: int = 3, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.trunk = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh()).to(dtype)
            self.heads = nn.ModuleList([nn.Linear(6, 1) for _ in range(k)]).to(dtype)

    def features(self, x: Tensor) -> Tensor:
        return self.trunk(x)

    def losses(self, z: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {f"t{i}": (head(z)[:, 0] - y[:, i]).square().mean() for i, head in enumerate(self.heads)}


def batch(k: int = 3, n: int = 16, seed: int = 1, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    y = torch.randn(n, k, generator=generator, dtype=torch.float64) + x[:, :1]
    return x.to(dtype), y.to(dtype)


def dense_gradients(model: nn.Module, losses: Callable[[], dict[str, Tensor]]) -> list[dict[str, Tensor | None]]:
    """Per-task gradients, one honest backward a task from a fresh forward."""
    rows = []
    for name in losses():
        model.zero_grad(set_to_none=True)
        losses()[name].backward()
        rows.append({key: None if p.grad is None else p.grad.clone() for key, p in model.named_parameters()})
    model.zero_grad(set_to_none=True)
    return rows


def wanted(
    model: nn.Module, rows: list[dict], method: eq.methods.Method, losses: list[float], heads: str = "own"
) -> dict:
    """What each parameter must receive: the method's direction on shared ones, g_i/k (or a_i g_i) on the others."""
    names = [name for name, _ in model.named_parameters()]
    shared = [n for n in names if sum(r[n] is not None and bool(r[n].abs().sum() > 0) for r in rows) > 1]
    jacobian = torch.stack([torch.cat([r[n].flatten() for n in shared]) for r in rows])
    direction = eq.direction(method, jacobian, losses)
    gramian = (jacobian.double() @ jacobian.double().T).numpy()
    weights = (
        eq.weights(method, gramian, losses)
        if heads == "weighted"
        else torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
    )
    out, at = {}, 0
    for name, parameter in model.named_parameters():
        if name in shared:
            out[name] = direction[at : at + parameter.numel()].reshape(parameter.shape)
            at += parameter.numel()
        else:
            present = [(i, r[name]) for i, r in enumerate(rows) if r[name] is not None]
            out[name] = sum(weights[i] * g.double() for i, g in present) if present else None
    return out
