"""Which parameters can be reached from a loss, read from autograd's graph."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import Node

__all__ = ["leaves_behind", "tensor_hooks_off"]


def leaves_behind(tensors: Iterable[Tensor], stop: Iterable[Tensor] = ()) -> list[Tensor]:
    """Leaf tensors that require grad and lie in the graph behind some tensors.

    Reachability is necessary, not sufficient: a node with several outputs makes everything behind it look reached.
    Who owns what is decided from returned gradients (`Ownership`).

    Args:
        tensors: Where to start.
        stop: Tensors whose graph is not entered.

    Returns:
        Each leaf once, in the order of a depth-first walk, which is the same in every run of the same model.

    Example:
        >>> w, b = torch.ones(2, requires_grad=True), torch.zeros(1, requires_grad=True)
        >>> [leaf.shape for leaf in leaves_behind([(w * 2).sum() + b])]
        [torch.Size([2]), torch.Size([1])]
    """
    blocked = {tensor.grad_fn for tensor in stop if tensor.grad_fn is not None}
    blocked_leaves = {id(tensor) for tensor in stop if tensor.grad_fn is None}
    leaves: dict[int, Tensor] = {}
    seen: set[Node] = set()
    stack: list[Node] = []
    for tensor in reversed(list(tensors)):
        if tensor.grad_fn is not None:
            stack.append(tensor.grad_fn)
        elif tensor.requires_grad and id(tensor) not in blocked_leaves:
            leaves[id(tensor)] = tensor
    while stack:
        node = stack.pop()
        if node in seen or node in blocked:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # only AccumulateGrad has one
        if leaf is not None and id(leaf) not in blocked_leaves:
            leaves[id(leaf)] = leaf
        stack.extend(parent for parent, _ in reversed(node.next_functions) if parent is not None)
    return list(leaves.values())


@contextmanager
def tensor_hooks_off(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Keeps tensor hooks of parameters from firing in the per-task passes.

    A hook sees a parameter's gradient once per backward of the user; without this it would fire once a task as well,
    and act twice on the injected gradient. The per-task gradients are thus those before hooks.
    """
    stored = []
    for parameter in parameters:
        hooks = parameter._backward_hooks  # torch offers no public way to pause a hook
        if hooks:
            stored.append((hooks, dict(hooks)))
            hooks.clear()
    try:
        yield
    finally:
        for hooks, kept in stored:
            hooks.update(kept)
