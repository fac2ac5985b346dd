"""A Balancer's state as plain tensor keys.

Not buffers (DDP would broadcast them) and not extra state (safetensors refuses it): every entry is a tensor; names and
counts travel as UTF-8 bytes of JSON. A fresh Balancer of the same method loads it strictly; nothing is changed when it
does not fit.
"""

import json
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from ..engine.engine_state import Carried, as_data, from_data
from ..errors import StateError, listed
from ..methods.base import JacobianMethod

if TYPE_CHECKING:
    from ..balancer import Balancer

__all__ = ["Saved", "read_state", "state_keys", "write_state"]

_ABOUT = "about"
_STATE = "state_"
_TRAINED = "trained."
_ABOUT_KEYS = frozenset({"method", "tasks", "steps", "counts", "reached", "granularity", "carried"})


def write_state(balancer: "Balancer", destination: dict[str, Any], prefix: str) -> None:
    """Adds a Balancer's keys to a state dict.

    Args:
        balancer: Whose state.
        destination: The state dict.
        prefix: Of every key.

    Raises:
        StateError: Micro-batches are waiting for their balance: what they gave is not saved.
    """
    if balancer.accumulation is not None and balancer.accumulation.done:
        raise StateError(
            f"{balancer.accumulation.done} of {balancer.accumulation.steps} micro-batches are waiting for their "
            "balance, and their gradients are not saved. Save after the optimizer's step."
        )
    about = {
        "method": repr(balancer.method),
        "tasks": balancer.tasks,
        "steps": balancer.steps,
        "counts": dict(balancer.counts),
        "reached": balancer.ownership.reached,
        "granularity": balancer.settings.granularity,
        "carried": as_data(balancer.carried),
    }
    destination[prefix + _ABOUT] = torch.tensor(list(json.dumps(about, sort_keys=True).encode()), dtype=torch.uint8)
    for name, tensor in balancer.state.items():
        destination[prefix + _STATE + name] = tensor.detach().clone()


def state_keys(balancer: "Balancer", prefix: str) -> set[str]:
    """The keys that `write_state` uses for this Balancer."""
    return {prefix + _ABOUT, *(prefix + _STATE + name for name in _names(balancer))}


def read_state(balancer: "Balancer", state_dict: dict[str, Any], prefix: str) -> None:
    """Takes over a saved state.

    Args:
        balancer: Of the same method, fresh or not.
        state_dict: As `write_state` filled it.
        prefix: Of our keys.

    Raises:
        StateError: The state is of another method, other tasks or another granularity, or keys are missing or of
            another shape or type. Nothing was changed.
    """
    if prefix + _ABOUT not in state_dict:
        raise StateError(f"no Balancer was saved under '{prefix}': the key '{prefix}{_ABOUT}' is missing.")
    about = _read_about(state_dict[prefix + _ABOUT], prefix)
    if about["method"] != repr(balancer.method):
        raise StateError(f"the state was saved by {about['method']}; this Balancer has {balancer.method!r}.")
    if about["granularity"] != balancer.settings.granularity:
        raise StateError(
            f"the state was saved with granularity='{about['granularity']}'; this Balancer has "
            f"'{balancer.settings.granularity}'."
        )
    tasks = None if about["tasks"] is None else tuple(about["tasks"])
    if balancer.tasks is not None and tasks != balancer.tasks:
        raise StateError(
            f"the state was saved for the tasks {listed(tasks or ())}; this Balancer has {listed(balancer.tasks)}."
        )
    carried = from_data(about["carried"])
    state: dict[str, Tensor] = {}
    if tasks is not None:
        state = _collect(balancer, state_dict, prefix, len(tasks), carried)
        if balancer.tasks is None:
            balancer.fix_tasks(tasks)
    balancer.state = state
    balancer.carried = carried
    balancer.steps = about["steps"]
    balancer.counts.clear()
    balancer.counts.update(about["counts"])
    balancer.ownership.restore(about["reached"])


def _read_about(encoded: Tensor, prefix: str) -> dict[str, Any]:
    """What was written beside the tensors.

    Raises:
        StateError: It cannot be read, for example because every tensor was cast to another type.
    """
    try:
        about: dict[str, Any] = json.loads(bytes(encoded.tolist()))
        missing = _ABOUT_KEYS - about.keys()
    except (ValueError, TypeError, AttributeError) as error:
        raise StateError(
            f"'{prefix}{_ABOUT}' must hold JSON as bytes (torch.uint8); it is {encoded.dtype} of shape "
            f"{tuple(encoded.shape)} and cannot be read. Save and load the state dict as it is, without a cast."
        ) from error
    if missing:
        raise StateError(
            f"'{prefix}{_ABOUT}' must hold {listed(sorted(_ABOUT_KEYS))}; missing: {listed(sorted(missing))}."
        )
    return about


def _names(balancer: "Balancer") -> list[str]:
    return [tensor.name for tensor in balancer.method.state_tensors if not tensor.trained]


def _collect(
    balancer: "Balancer", state_dict: dict[str, Any], prefix: str, k: int, carried: Carried
) -> dict[str, Tensor]:
    method = balancer.method
    # the state of a Jacobian method starts with its first step, that of a group with the group's
    late = balancer.settings.granularity != "model" or isinstance(method, JacobianMethod)
    begun = bool(carried.groups or carried.layout) or not late
    fresh = method.init(k, sum(size for _, size in carried.layout))
    state, wrong = {}, []
    for declared in method.state_tensors:
        key = prefix + (_TRAINED if declared.trained else _STATE) + declared.name
        found, like = state_dict.get(key), fresh[declared.name]
        shape = torch.Size((len(carried.groups), *like.shape)) if carried.groups else like.shape
        if found is None:
            wrong += [f"'{key}' is missing"] if begun else []
        elif found.shape != shape:
            wrong.append(f"'{key}' has shape {tuple(found.shape)} where {tuple(shape)} is needed")
        elif not declared.trained and found.dtype != like.dtype:
            wrong.append(f"'{key}' is {found.dtype} where {like.dtype} is needed")
        elif not declared.trained:
            state[declared.name] = found.detach().clone()
    if wrong:
        raise StateError(f"the saved state does not fit {method!r} with {k} tasks: {'; '.join(wrong)}.")
    return state


class Saved(nn.Module):
    """Writes and reads a Balancer's keys where PyTorch saves and loads a module."""

    @property
    def _whole(self) -> "Balancer":
        return cast("Balancer", self)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        write_state(self._whole, destination, prefix)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        read_state(self._whole, state_dict, prefix)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        ours = state_keys(self._whole, prefix)
        unexpected_keys[:] = [key for key in unexpected_keys if key not in ours]
