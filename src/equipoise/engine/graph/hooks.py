"""Hooks: detecting the user's, keeping them from firing in our passes, and registering our own."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.autograd.graph import Node

from .undo import taken_back

__all__ = ["OURS", "has_hooks", "ours", "tensor_hooks_off"]

OURS = [0]  # number of handles issued to us


def ours(register: Callable[[Any], Any], hook: Callable[..., Any]) -> Any:
    """Registers a hook of our own and returns its handle."""
    OURS[0] += 1
    return register(hook)


def has_hooks(node: Node, *, before: bool = True) -> bool:
    """Whether a user's hook acts on a node: `Node.register_hook`, `register_prehook`, modules' backward hooks.

    Args:
        node: Any node except one that accumulates a leaf's gradient.
        before: Whether hooks on the incoming gradient (`register_prehook`) count, beside those on the outgoing one.
    """
    for register in (node.register_hook, node.register_prehook) if before else (node.register_hook,):
        handle = ours(register, _nothing)  # torch shows the hooks of a node to a new hook only
        known = handle.hooks_dict_ref()
        count = 0 if known is None else len(known)
        handle.remove()
        if count > 1:
            return True
    return False


def _nothing(*_: object) -> None:
    """A hook that leaves everything as it is."""


@contextmanager
def tensor_hooks_off(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Keeps tensor hooks of parameters from firing in the per-task passes.

    A hook sees a parameter's gradient once per backward of the user; without this it would also fire once per task,
    and act twice on the injected gradient. The per-task gradients are therefore those before hooks.
    """
    stored: list[tuple[dict[Any, Any], dict[Any, Any]]] = []

    def put_back() -> None:
        for hooks, kept in stored:
            hooks.update(kept)

    with taken_back(put_back):
        for parameter in parameters:
            hooks = parameter._backward_hooks  # torch offers no public way to pause a hook
            if hooks:
                stored.append((hooks, dict(hooks)))
                hooks.clear()
        yield
