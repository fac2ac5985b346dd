"""A method from its name and settings as texts, as a command line has them. Nothing is evaluated or imported."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import SettingError, listed
from .base import Method
from .registry import table

__all__ = ["method_by_name"]

_CONTAINERS = (Mapping, Sequence, tuple)


def method_by_name(name: str, settings: Sequence[str] = ()) -> Method:
    """The method with this name on the command line.

    Args:
        name: Name that ``equipoise methods`` lists, in lower or upper case.
        settings: ``"c=0.4"``; true, false and none as words; one number a task as ``"weights=price:0.3,days:0.7"`` or,
            in the order of the tasks, ``"weights=0.3,0.7"``.

    Raises:
        SettingError: There is no such method or setting, or the text is no such value.

    Example:
        >>> method_by_name("cagrad", ["c=0.4"])
        CAGrad(c=0.4, rescale='1+c^2')
        >>> method_by_name("linearscalarization", ["weights=price:0.3,days:0.7"]).weights
        (('days', 0.7), ('price', 0.3))
    """
    kind = table.get(name.lower())
    if kind is None:
        near = difflib.get_close_matches(name.lower(), sorted(table))
        closest = f" Closest: {listed(near)}." if near else ""
        raise SettingError(f"--method must be a method's name, found {name!r}.{closest} All of them: equipoise methods")
    fields = {field.name for field in dataclasses.fields(kind)}
    hints, values, faults = get_type_hints(kind), {}, []
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or key not in fields:
            known = f"{kind.__name__} has the settings {listed(sorted(fields))}" if fields else "it has no settings"
            faults.append(f"{setting!r} must be NAME=VALUE with a setting of {kind.__name__}; {known}")
        elif key in values:
            faults.append(f"{key!r} is set twice")
        else:
            try:
                values[key] = _value(text.strip(), _plain_types(hints[key]))
            except ValueError as error:
                faults.append(f"{key} must be {error}; found {text!r}")
    if faults:
        raise SettingError(f"--set: {'; '.join(faults)}.")
    return kind(**values)


def _plain_types(hint: Any) -> list[Any]:
    """The members of a union, else the type itself."""
    if get_origin(hint) not in (Union, UnionType):
        return [hint]
    return [part for member in get_args(hint) for part in _plain_types(member)]


def _value(text: str, types: Sequence[Any]) -> Any:
    """The first type that the text is a value of; numbers and words before containers.

    Raises:
        ValueError: None; the message says what it must be.
    """
    wanted: list[str] = []
    for kind in types:
        options = get_args(kind) if get_origin(kind) is Literal else ()
        if text in options:
            return text
        wanted += [listed(options)] if options else []
    if type(None) in types:
        if text.lower() == "none":
            return None
        wanted.append("none")
    if bool in types:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        wanted.append("true or false")
    for kind, words in ((int, "a whole number"), (float, "a number")):
        if kind in types:
            try:
                return kind(text)
            except ValueError:
                wanted.append(words)
    if str in types:
        return text
    if any(get_origin(kind) in _CONTAINERS for kind in types):
        try:
            return _one_a_task(text)
        except ValueError:
            wanted.append("one value a task, as a:0.3,b:0.7")
    raise ValueError(" or ".join(wanted) or "left alone: it cannot be given as text")


def _one_a_task(text: str) -> Any:
    """A mapping where names are given, else the values in their order.

    Raises:
        ValueError: Some have a name and others not, or a value is empty.
    """
    parts = [part.rpartition(":") for part in text.split(",")]
    values = [_number_or_word(value.strip()) for _, _, value in parts]
    names = [name.strip() for name, colon, _ in parts if colon]
    if names:
        return dict(zip(names, values, strict=True))
    return tuple(values)


def _number_or_word(text: str) -> float | str:
    if not text:
        raise ValueError
    try:
        return float(text)
    except ValueError:
        return text
