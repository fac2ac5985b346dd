"""The table of methods by name, and the door for methods from outside."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from ..errors import SettingError
from . import gramian, jacobian, loss, wrappers
from .base import GramianMethod, JacobianMethod, LossMethod, Method

__all__ = ["register", "table", "unregister"]

Kind = TypeVar("Kind", bound=type[Method])

_KINDS: dict[str, type[Method]] = {
    name.lower(): getattr(module, name)
    for module in (loss, gramian, jacobian, wrappers)
    for name in sorted(module.__all__)
}

_OURS = frozenset(_KINDS)

table: Mapping[str, type[Method]] = MappingProxyType(_KINDS)
"""Name on the command line -> class; every table, test and page iterates over this. `register` adds to it."""


def register(kind: Kind) -> Kind:
    """Add a method from outside to `table`, so that arrays, the command line and `doctor` know it by name.

    ``equipoise methods --import your_package.your_module`` imports your module first, and so shows what it registers. A
    name in a file or a record never imports anything.

    Args:
        kind: A frozen dataclass that subclasses `LossMethod`, `GramianMethod` or `JacobianMethod` and can be built
            without arguments. Its name on the command line is its class name in lower case.

    Returns:
        The same class, so that `register` also serves as a decorator, above ``@dataclass(frozen=True)``. Registering a
        class of the same module and name again replaces it, as a notebook does.

    Raises:
        SettingError: It is no such class, or another method has its name.

    Example:
        >>> from dataclasses import dataclass
        >>> import equipoise as eq
        >>> @eq.methods.register
        ... @dataclass(frozen=True)
        ... class Steepest(eq.MGDA):
        ...     '''MGDA by another name.'''
        >>> eq.methods.table["steepest"]()
        Steepest(zero='leave out', normalize='none', solver='exact')
        >>> eq.methods.unregister(Steepest)
    """
    faults = []
    if not isinstance(kind, type) or not issubclass(kind, LossMethod | GramianMethod | JacobianMethod):
        raise SettingError(
            f"`register` takes a class that subclasses LossMethod, GramianMethod or JacobianMethod; found {kind!r}."
        )
    own = vars(kind).get("__dataclass_params__")  # a subclass inherits it without being a dataclass of its own fields
    if own is None or not own.frozen:
        faults.append("it must be a frozen dataclass: write @dataclass(frozen=True) above the class")
    abstract = sorted(getattr(kind, "__abstractmethods__", ()))
    if abstract:
        faults.append(f"it must define {', '.join(abstract)}")
    faults += [f"it must state `{name}`" for name in ("source", "cost") if not getattr(kind, name, "")]
    name = kind.__name__.lower()
    known = table.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
        faults.append(f"the name '{name}' belongs to {known.__module__}.{known.__qualname__}: rename the class")
    if not faults:
        try:
            kind()
        except TypeError as error:
            faults.append(f"every setting needs a default, so that {kind.__name__}() works ({error})")
    if faults:
        raise SettingError(f"{kind.__name__} cannot be registered: {'; '.join(faults)}.")
    _KINDS[name] = kind
    return kind


def unregister(kind: type[Method]) -> None:
    """Take a method that `register` added out of `table` again; methods of the package itself stay.

    Args:
        kind: The class that was registered.

    Raises:
        SettingError: It is not registered, or belongs to the package.
    """
    name = kind.__name__.lower()
    if name in _OURS or table.get(name) is not kind:
        raise SettingError(f"{kind!r} was not registered by `eq.methods.register`.")
    del _KINDS[name]
