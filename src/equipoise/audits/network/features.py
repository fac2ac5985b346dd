"""Where a network's features are: the input of its heads, the output of a module, or what a function says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ...errors import InputError, SettingError, listed

__all__ = ["Where", "features_of"]

Where = str | Callable[[Any], Tensor] | None
"""None for the input of the model's heads; a module's name; or a function of a batch's inputs."""


def features_of(model: nn.Module, inputs: Any, where: Where) -> Tensor:
    """The features of one batch, (rows, features). The model is run once, unless `where` is a function.

    Raises:
        SettingError: The model has no module of that name.
        InputError: There are no features, several, or not of two axes.
    """
    if callable(where):
        found = where(inputs)
    elif where is None:
        found = _heads_input(model, inputs)
    else:
        modules = dict(model.named_modules())
        if where not in modules:
            known = listed(name for name in modules if name)
            raise SettingError(f"`features` must name a module of the model; found {where!r}. It has {known}.")
        seen: list[Any] = []
        handle = modules[where].register_forward_hook(lambda module, given, out: seen.append(out))
        try:
            _run(model, inputs)
        finally:
            handle.remove()
        if len(seen) != 1:
            raise InputError(f"the module {where!r} ran {len(seen)} times in one pass; features need exactly one.")
        found = seen[0]
    if not isinstance(found, Tensor) or found.ndim != 2:
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(
            f"features must be a tensor of shape (rows, features); found {what}. "
            "Pass a function: features=lambda inputs: model.encoder(inputs).flatten(1)"
        )
    return found


def _run(model: nn.Module, inputs: Any) -> None:
    if isinstance(inputs, Mapping):
        model(**inputs)
    elif isinstance(inputs, (tuple, list)):
        model(*inputs)
    else:
        model(inputs)


def _heads_input(model: nn.Module, inputs: Any) -> Tensor:
    """The common input of the last linear layers; an error where the last one has an input of its own."""
    calls: list[tuple[str, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(lambda module, given, name=name: calls.append((name, given[0])))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        _run(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise InputError("the model ran no linear layer: say where its features are, features='name of a module'.")
    shared = calls[-1][1]
    first = next(number for number, (_, given) in enumerate(calls) if given is shared)
    others = [name for name, given in calls[first:] if given is not shared]
    if others or _branches(calls):
        names = listed(dict.fromkeys(name for name, _ in calls))
        raise InputError(
            f"the last linear layers do not share one input (linear layers in order: {names}), so the shared features "
            "cannot be told. Name the module whose output they are: features='encoder'"
        )
    return shared


def _branches(calls: Sequence[tuple[str, Tensor]]) -> bool:
    """Whether two linear layers that are not both last share an input: heads of several layers."""
    last = calls[-1][1]
    for number, (_, given) in enumerate(calls):
        if given is not last and any(other is given for _, other in calls[number + 1 :]):
            return True
    return False
