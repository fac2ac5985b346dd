"""Several gradients sent back at once through the operations of small networks: each operation once for all of them.

`torch.autograd.grad` with ``is_grads_batched`` does the same for any graph, in two to three times the time: where every
operation takes microseconds, dispatching it through a vmap is most of its cost.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["ADJOINTS", "CONSTANTS", "send_back"]

Below = Sequence[Sequence[tuple[int, int]]]


def _product(left: Tensor | None, right: Tensor | None, sent: Tensor) -> list[Tensor]:
    """Of ``left @ right``; gradients of the right factor are made the way round in which `nn.Linear` keeps it.

    A factor is kept where the other one's gradient is wanted.
    """
    return [
        torch.empty(0) if right is None else sent @ right.detach().mT,
        torch.empty(0) if left is None else (sent.mT @ left.detach()).mT,
    ]


ADJOINTS: dict[str, Callable[[Any, Tensor], list[Tensor]]] = {
    "AddBackward0": lambda node, sent: [sent, sent],
    "AddmmBackward0": lambda node, sent: [
        sent.sum(dim=1),
        *_product(node._saved_mat1, node._saved_mat2, sent),
    ],
    "MmBackward0": lambda node, sent: _product(node._saved_self, node._saved_mat2, sent),
    "ReluBackward0": lambda node, sent: [torch.ops.aten.threshold_backward(sent, node._saved_result.detach(), 0)],
    "SigmoidBackward0": lambda node, sent: [torch.ops.aten.sigmoid_backward(sent, node._saved_result.detach())],
    "SiluBackward0": lambda node, sent: [torch.ops.aten.silu_backward(sent, node._saved_self.detach())],
    "TBackward0": lambda node, sent: [sent.mT],
    "TanhBackward0": lambda node, sent: [torch.ops.aten.tanh_backward(sent, node._saved_result.detach())],
}
"""Node -> what gradients (k, ...) at its output become at its inputs."""

CONSTANTS = {"AddBackward0": ("_saved_alpha",), "AddmmBackward0": ("_saved_alpha", "_saved_beta")}
"""Attributes that must be 1 for `ADJOINTS` to hold."""


def send_back(order: Sequence[int], below: Below, nodes: Sequence[Any], cut: int, sent: Tensor) -> dict[int, Tensor]:
    """Gradients at the leaves behind a tensor.

    Args:
        order: Places of the nodes behind it and its own, each before those that it sends to; leaves left out.
        below: For each place where its gradients go: (place, output number), -1 for nowhere.
        nodes: By place.
        cut: Place of the tensor's node.
        sent: (k, ...), gradients at the tensor.

    Returns:
        Place of a leaf -> (k, ...) gradients.
    """
    arrived = {cut: sent}
    for place in order:
        gradients = ADJOINTS[nodes[place].name()](nodes[place], arrived.pop(place))
        for (parent, _), gradient in zip(below[place], gradients, strict=True):
            if parent >= 0:
                known = arrived.get(parent)
                arrived[parent] = gradient if known is None else known + gradient
    return arrived
