"""Backward through small networks for several gradients at once, each operation once for all of them.

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
    """Adjoint of ``left @ right``; the right factor's gradient gets the memory layout of `nn.Linear`.

    Autograd keeps a factor where the other one's gradient is wanted.
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
"""Name of a node -> function from (k, ...) gradients at its output to those at its inputs."""

CONSTANTS = {"AddBackward0": ("_saved_alpha",), "AddmmBackward0": ("_saved_alpha", "_saved_beta")}
"""Attributes that must be 1 for `ADJOINTS` to hold."""


def send_back(order: Sequence[int], below: Below, nodes: Sequence[Any], cut: int, sent: Tensor) -> dict[int, Tensor]:
    """Gradients at the leaves behind a tensor.

    Args:
        order: Places of the tensor's node and the nodes behind it, each before those it sends to, without leaves.
        below: Targets of each place's gradients as pairs (place, output number); place -1 means no target.
        nodes: Nodes of the graph by place.
        cut: Place of the tensor's node.
        sent: (k, ...) gradients at the tensor.

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
