"""Graph inspection, and translation of autograd errors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch._functorch.config as functorch_config
from torch import Tensor, nn
from torch.autograd.graph import Node

from ...errors import InputError, LossError
from .autograd_graph import Graph, is_accumulator, read_graph
from .undo import CHANGES, end, until_end

__all__ = [
    "Facts",
    "Guard",
    "allow_several_backwards",
    "autocast_off",
    "hold_statistics",
    "inspect_graph",
    "read_features",
    "refuse_unreached",
]

_CHECKPOINT = "CheckpointFunctionBackward"  # the node of torch.utils.checkpoint with use_reentrant=True

_HALF = (torch.float16, torch.complex32)

_MEANINGS = (
    (
        "modified by an inplace operation",
        "a tensor that the backward pass needs was changed in place after the forward pass: an optimizer step between "
        "forward and balancer(losses), or an in-place operation of a layer on its input. Compute the losses after the "
        "step, or replace the in-place operation (nn.ReLU(inplace=True), x += y).",
    ),
    (
        "donated buffer",
        "the model was compiled with donated buffers, which allows one backward pass only. Type "
        "`torch._functorch.config.donated_buffer = False` before the model is first called, or build the Balancer "
        "before: it does so itself.",
    ),
    (
        "backward through the graph a second time",
        "the losses' graph, or a part of it, was already freed. An earlier balancer(losses) on the same forward pass "
        "frees it, whatever backward is told: type balancer(losses, retain_graph=True) there. An earlier backward of "
        "your own frees it too: type backward(retain_graph=True) there, or call balancer(losses) first.",
    ),
)


class Facts(NamedTuple):
    """Facts that a walk through the graph shows.

    Attributes:
        half: Whether float16 occurs, so that small gradients can vanish.
        reentrant: Whether activations are checkpointed with ``use_reentrant=True``.
    """

    half: bool
    reentrant: bool


def inspect_graph(tensors: Sequence[Tensor], graph: Graph | None = None) -> Facts:
    """Walks through the graph behind some tensors; about half a microsecond per node.

    Args:
        tensors: The losses of the step.
        graph: The losses' graph, if `read_graph` has read it already.

    Example:
        >>> w = torch.ones(2, requires_grad=True)
        >>> inspect_graph([(w.half() * 2).sum()]).half
        True
    """
    known = read_graph(tensors) if graph is None else graph
    half = any(tensor.dtype in _HALF for tensor in (*tensors, *known.leaves.values()))
    reentrant = False
    for node in known.nodes:
        if not known.below[node]:  # where a leaf's gradient ends
            continue
        reentrant = reentrant or node.name() == _CHECKPOINT
        if not half:
            for entry in getattr(node, "_input_metadata", ()):  # torch keeps the type of a node's outputs only here
                half = half or entry.dtype in _HALF
    return Facts(half, reentrant)


def read_features(features: object) -> tuple[Tensor, ...]:
    """Feature tensors out of a tensor, a sequence, or a mapping, nested as deep as the model gives them.

    Integer and boolean tensors (masks, lengths) are skipped.

    Raises:
        InputError: An entry is no tensor, or is detached; all offenders are named by their place.

    Example:
        >>> w = torch.ones(2, requires_grad=True)
        >>> [tuple(t.shape) for t in read_features({"low": w * 2, "high": (w[:1] * 3, torch.tensor([True]))})]
        [(2,), (1,)]
    """
    found: list[Tensor] = []
    wrong: list[str] = []
    _collect(features, "features", found, wrong)
    if wrong:
        raise InputError(
            f"`features` must be outputs of the shared part of the network; {'; '.join(wrong)}. Was it detached, or "
            "computed under no_grad? Pass the tensors that the heads were given."
        )
    return tuple(found)


def _collect(value: object, place: str, found: list[Tensor], wrong: list[str]) -> None:
    if value is None:
        return
    if isinstance(value, Tensor):
        if not (value.is_floating_point() or value.is_complex()):
            return
        if value.grad_fn is None:
            wrong.append(f"{place} of shape {tuple(value.shape)} has no grad_fn")
        elif all(value is not other for other in found):
            found.append(value)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            _collect(entry, f"{place}[{key!r}]", found, wrong)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, entry in enumerate(value):
            _collect(entry, f"{place}[{number}]", found, wrong)
    else:
        wrong.append(f"{place} is {type(value).__name__}")


def refuse_unreached(losses: Sequence[Tensor], names: Sequence[str], features: Sequence[Tensor], graph: Graph) -> None:
    """Raises `LossError` where a loss shares only parameters with the features' graph.

    A loss that meets the graph elsewhere (a bypass, a feature that a head has changed in place) is accepted: the
    engine then does not use the features.

    Args:
        losses: Scalars of the present tasks.
        names: Names of the present tasks.
        features: Tensors between trunk and heads.
        graph: Graph behind the losses.
    """
    above, stack = set[Node](), [feature.grad_fn for feature in features if feature.grad_fn is not None]
    while stack:  # up from the features once, not down from each of k losses
        node = stack.pop()
        if node not in above:
            above.add(node)
            stack += [user for user, _ in graph.consumers.get(node, ())]
    open_pairs = [pair for pair in zip(names, losses, strict=True) if pair[1].grad_fn not in above]
    if not open_pairs:
        return
    behind = {node for node in graph.walk(feature.grad_fn for feature in features) if not is_accumulator(node)}
    lost = [name for name, loss in open_pairs if not any(node in behind for node in graph.walk([loss.grad_fn]))]
    if lost:
        shown = ", ".join(f"'{name}'" for name in lost)
        raise LossError(
            f"{shown}: the loss does not reach the features. They must be the very tensors that the heads were given, "
            "from the same forward pass. Pass those, or leave `features` out."
        )


@contextmanager
def autocast_off(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Turns autocast off within a block.

    Args:
        tensors: Tensors on further devices; CPU and CUDA are always included.
    """
    kinds = {"cpu", "cuda", *(tensor.device.type for tensor in tensors)}
    active = [kind for kind in sorted(kinds) if torch.is_autocast_enabled(kind)]
    try:
        for kind in active:
            torch.set_autocast_enabled(kind, False)
        yield
    finally:
        for kind in active:
            torch.set_autocast_enabled(kind, True)


class Guard:
    """Context of a step's passes: autocast is off, and autograd's errors become messages that say what to type.

    Args:
        losses: Scalars of the present tasks.
    """

    def __init__(self, losses: Sequence[Tensor]) -> None:
        kinds = {"cpu", "cuda", losses[0].device.type if losses else "cpu"}
        self._active = list(filter(torch.is_autocast_enabled, kinds))

    def __enter__(self) -> None:
        for kind in self._active:
            torch.set_autocast_enabled(kind, False)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for device in self._active:
            torch.set_autocast_enabled(device, True)
        if CHANGES.open:
            end()
        if isinstance(error, RuntimeError):
            for sign, meaning in _MEANINGS:
                if sign in str(error):
                    raise InputError(f"{meaning} PyTorch says: {str(error).splitlines()[0]}") from error


def hold_statistics(model: nn.Module | None) -> None:
    """Keeps running statistics unchanged until the step's passes have ended.

    A checkpointed forward runs again in every pass and would move them.
    """
    layers = [] if model is None else [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    moving = [layer for layer in layers if layer.training and layer.track_running_stats]
    before = [{name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)} for layer in moving]

    def put_back() -> None:
        for layer, kept in zip(moving, before, strict=True):
            for name, buffer in layer.named_buffers(recurse=False):
                if not torch.equal(buffer, kept[name]):  # autograd counts every write, so none without need
                    buffer.copy_(kept[name])

    if moving:
        until_end(put_back)


def allow_several_backwards() -> None:
    """Makes graphs compiled from now on keep the buffers of a second backward (AOTAutograd donates them otherwise)."""
    functorch_config.donated_buffer = False
