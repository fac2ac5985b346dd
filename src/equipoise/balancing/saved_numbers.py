"""Validate a saved Balancer: the text beside its tensors, and the tensors."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ..engine.engine_state import Carried, as_data
from ..errors import EquipoiseError, StateError, listed
from ..methods.base import JacobianMethod
from .copies import STATE, TRAINED, Copyable

__all__ = ["read_about", "wrong_tensors"]

Count = Annotated[int, Field(ge=0, lt=2**63)]


class About(BaseModel):
    """The text beside the tensors.

    Attributes:
        format: Version of the layout; states without one are of version 1.
        method: The call that constructs the method.
        tasks: Task names; None before the first step of a Balancer built without them.
        steps: Number of steps taken.
        counts: Status -> number of steps.
        reached: Parameter -> numbers of the tasks that have reached it.
        granularity: Setting `granularity` of the Balancer.
        carried: State of the engine between steps.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = 1
    method: str
    tasks: tuple[str, ...] | None
    steps: Count
    counts: dict[str, Count]
    reached: dict[str, tuple[Count, ...]]
    granularity: str
    carried: Carried

    def contradictions(self) -> list[str]:
        """Entries that have the right type and contradict each other."""
        names, carried = self.tasks or (), self.carried
        wrong = []
        if self.tasks is not None and (not names or len(set(names)) != len(names)):
            wrong.append(f"'tasks' must be different names; it is {names}")
        k = len(names)
        strangers = sorted({task for tasks in self.reached.values() for task in tasks if task >= k})
        if strangers:
            wrong.append(f"'reached' speaks of the tasks number {strangers}, and there are {k}")
        layout = [name for name, _ in carried.layout]
        if len(set(layout)) != len(layout) or any(size < 0 for _, size in carried.layout):
            wrong.append("'carried.layout' must hold each parameter once, with its size")
        if len(set(carried.groups)) != len(carried.groups):
            wrong.append("'carried.groups' must hold each group once")
        if not 0 <= carried.power <= 64:
            wrong.append(f"'carried.power' must lie in 0 to 64; it is {carried.power}")
        old = carried.reused
        if old is not None:
            here = list(old.present)
            fits = here == sorted(set(here)) and all(0 <= task < k for task in here) and old.age >= 1
            if not (here and fits and len(here) == len(old.weights) == len(old.heads)):
                wrong.append(f"'carried.reused' must hold one weight for each of some of the {k} tasks; it is {old}")
        return wrong


def read_about(encoded: object, key: str) -> About:
    """The text beside the tensors.

    Args:
        encoded: Entry of the state dict that holds the text, as bytes of JSON.
        key: Key of that entry, for messages.

    Raises:
        StateError: The text cannot be read, for example because every tensor was cast to another type.
    """
    if not isinstance(encoded, Tensor) or encoded.dtype != torch.uint8 or encoded.dim() != 1:
        shown = f"{encoded.dtype} of shape {tuple(encoded.shape)}" if isinstance(encoded, Tensor) else type(encoded)
        raise StateError(
            f"'{key}' must hold JSON as bytes (torch.uint8, one axis); it is {shown} and cannot be read. "
            "Save and load the state dict as it is, without a cast."
        )
    text = bytes(encoded.tolist())
    try:
        about = About.model_validate_json(text)
    except ValidationError as error:
        raise StateError(
            f"'{key}' must hold JSON as bytes (torch.uint8) as this version of equipoise knows it; "
            f"{_complaints(error)}. The state is damaged or of another version. Save and load the state dict as it is, "
            "without a cast."
        ) from error
    missing = as_data(Carried()).keys() - json.loads(text)["carried"].keys()  # it has defaults, a saved one must not
    if missing:
        raise StateError(f"'{key}' cannot be read: its 'carried' lacks {listed(sorted(missing))}.")
    return about


def _complaints(error: ValidationError) -> str:
    found = [(".".join(map(str, entry["loc"])), entry["type"], entry["msg"]) for entry in error.errors()]
    missing = sorted(place for place, kind, _ in found if kind == "missing")
    others = [f"{place or 'the text'}: {message}" for place, kind, message in found if kind != "missing"]
    return "; ".join([*([f"missing: {listed(missing)}"] if missing else []), *others[:5]])


def wrong_tensors(balancer: Copyable, saved: Mapping[str, Any], prefix: str, k: int, carried: Carried) -> list[str]:
    """All complaints about the tensors of a saved state.

    Args:
        balancer: The Balancer that is to load the state.
        saved: The state dict.
        prefix: Prefix of the Balancer's keys.
        k: Number of tasks; 0 where they are not known yet.
        carried: Saved state of the engine.
    """
    method = balancer.method
    keys = [prefix + (TRAINED if tensor.trained else STATE) + tensor.name for tensor in method.state_tensors]
    if not k:
        return [f"'{key}' is there, and no step has been taken" for key in keys if key in saved]
    # the state of a Jacobian method starts with its first step, that of a group with the group's
    late = balancer.settings.granularity != "model" or isinstance(method, JacobianMethod)
    begun = not late or bool(carried.groups or carried.layout) or any(key in saved for key in keys)
    n = sum(size for _, size in carried.layout)
    try:  # sizes that a damaged layout claims must not be allocated: two small states show how shapes grow with n
        one, two = method.init(k, 1), method.init(k, 2)
    except EquipoiseError as error:
        return [f"{method!r} has no state for {k} tasks ({error})"]
    wrong = []
    for key, declared in zip(keys, method.state_tensors, strict=True):
        small, large = one[declared.name], two[declared.name]
        shape = tuple(a + (b - a) * (n - 1) for a, b in zip(small.shape, large.shape, strict=True))
        shape = (len(carried.groups), *shape) if carried.groups else shape
        if key not in saved:
            wrong += [f"'{key}' is missing"] if begun else []
        elif complaint := _wrong_tensor(saved[key], shape, small, trained=declared.trained):
            wrong.append(f"'{key}' {complaint}")
    return wrong


def _wrong_tensor(found: object, shape: tuple[int, ...], like: Tensor, *, trained: bool) -> str:
    """The complaint about one tensor, or an empty string.

    Args:
        found: The tensor that was saved.
        shape: The shape that it must have.
        like: The same tensor before the first step; NaN or inf are legal later only where they are legal here.
        trained: Whether an optimizer trains it: then it may have any floating type and must be finite.
    """
    if not isinstance(found, Tensor) or found.layout != torch.strided or found.is_meta:
        return f"must be a dense tensor with numbers; it is {type(found).__name__}"
    if tuple(found.shape) != shape:
        return f"has shape {tuple(found.shape)} where {shape} is needed"
    if (not found.dtype.is_floating_point) if trained else found.dtype != like.dtype:
        return f"is {found.dtype} where {like.dtype} is needed"
    if not like.dtype.is_floating_point:
        lowest = int(found.min()) if found.numel() else 0
        return f"counts from 0; it holds {lowest}" if lowest < 0 else ""
    for odd, test in (("NaN", torch.isnan), ("inf", torch.isposinf), ("-inf", torch.isneginf)):
        if bool(test(found).any()) and not bool(test(like).any()):
            return f"holds {odd}, which would spread to the weights"
    return ""
