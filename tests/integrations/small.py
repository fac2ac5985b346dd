"""A model of two tasks, its data, and the training that every framework must agree with, written by hand."""

import torch
from torch import Tensor, nn

import equipoise as eq

ROWS, BATCH, EPOCHS = 40, 8, 3


class Net(nn.Module):
    """A trunk and two heads, from fixed numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(4, 6)
        self.heads = nn.ModuleDict({"a": nn.Linear(6, 1), "b": nn.Linear(6, 1)})

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, dict[str, Tensor]]:
        features = self.trunk(x).tanh()
        losses = {
            name: (head(features)[:, 0] - labels[:, i]).square().mean()
            for i, (name, head) in enumerate(self.heads.items())
        }
        return {"losses": losses}


def data(rows: int = ROWS) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=draw)
    return x, torch.stack([x[:, 0] * x[:, 1], 3 * x[:, 2] - x[:, 0]], dim=1)


def optimizer_of(parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.01)


def by_hand(
    method: eq.methods.Method | None, *, window: int = 1, clip: float | None = None, rows: int = ROWS, **settings
):
    """Three epochs; windows of micro-batches, the last of an epoch shorter.

    Args:
        method: Method of the Balancer; None for the mean written as a formula.
        window: Number of micro-batches per optimizer step.
        clip: Largest norm of the gradients.
        rows: Number of rows.
        settings: Settings of the Balancer.

    Returns:
        The model, the Balancer, and the losses of each micro-batch.
    """
    model, (x, labels) = Net(), data(rows)
    balancer = eq.Balancer(method or eq.LinearScalarization(), **settings)
    optimizer = optimizer_of([*model.parameters(), *balancer.parameters()])
    batches = list(zip(x.split(BATCH), labels.split(BATCH), strict=True))
    if window > 1:
        balancer.accumulate(window)
    seen = []
    for _ in range(EPOCHS):
        for number, (rows_x, rows_y) in enumerate(batches, 1):
            losses = model(rows_x, rows_y)["losses"]
            seen.append({name: loss.item() for name, loss in losses.items()})
            ends = number % window == 0 or number == len(batches)
            loss = balancer(losses, flush=ends) if method else sum(losses.values()) / len(losses)
            loss.backward()
            if ends:
                if clip:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
        balancer.end_epoch()
    return model, balancer, seen


def distance(one: nn.Module, other: nn.Module) -> float:
    """Largest difference between the parameters of two models of one kind."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((mine - theirs).detach().abs().max()) for mine, theirs in pairs)
