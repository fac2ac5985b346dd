"""A Balancer's state as plain tensor keys.

Not buffers (DDP would broadcast them) and not extra state (safetensors refuses it): every entry is a tensor; names and
counts travel as UTF-8 bytes of JSON. A fresh Balancer of the same method loads it strictly; nothing is changed when it
does not fit.
"""

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import StateError, listed
from .methods.base import JacobianMethod

if TYPE_CHECKING:
    from .balancer import Balancer

__all__ = ["read_state", "state_keys", "write_state"]

_ABOUT = "about"
_STATE = "state_"


def write_state(balancer: "Balancer", destination: dict[str, Any], prefix: str) -> None:
    """Adds a Balancer's keys to a state dict.

    Args:
        balancer: Whose state.
        destination: The state dict.
        prefix: Of every key.
    """
    about = {
        "method": repr(balancer.method),
        "tasks": balancer.tasks,
        "steps": balancer.steps,
        "counts": dict(balancer.counts),
        "reached": balancer.ownership.reached,
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
        StateError: The state is of another method or other tasks, or keys are missing or of another shape. Nothing
            was changed.
    """
    if prefix + _ABOUT not in state_dict:
        raise StateError(f"no Balancer was saved under '{prefix}': the key '{prefix}{_ABOUT}' is missing.")
    about = json.loads(bytes(state_dict[prefix + _ABOUT].tolist()))
    if about["method"] != repr(balancer.method):
        raise StateError(f"the state was saved by {about['method']}; this Balancer has {balancer.method!r}.")
    tasks = None if about["tasks"] is None else tuple(about["tasks"])
    if balancer.tasks is not None and tasks != balancer.tasks:
        raise StateError(
            f"the state was saved for the tasks {listed(tasks or ())}; this Balancer has {listed(balancer.tasks)}."
        )
    state: dict[str, Tensor] = {}
    if tasks is not None:
        state = _collect(balancer, state_dict, prefix, len(tasks))
        if balancer.tasks is None:
            balancer.fix_tasks(tasks)
    balancer.state = state
    balancer.steps = about["steps"]
    balancer.counts.clear()
    balancer.counts.update(about["counts"])
    balancer.ownership.restore(about["reached"])


def _names(balancer: "Balancer") -> list[str]:
    return [tensor.name for tensor in balancer.method.state_tensors if not tensor.trained]


def _collect(balancer: "Balancer", state_dict: dict[str, Any], prefix: str, k: int) -> dict[str, Tensor]:
    method = balancer.method
    expected = None if isinstance(method, JacobianMethod) else method.init(k)
    state, wrong = {}, []
    for name in _names(balancer):
        key = prefix + _STATE + name
        found = state_dict.get(key)
        if found is None:
            # the state of a Jacobian method starts with its first step
            wrong += [] if expected is None else [f"'{key}' is missing"]
        elif expected is not None and found.shape != expected[name].shape:
            wrong.append(f"'{key}' has shape {tuple(found.shape)} where {tuple(expected[name].shape)} is needed")
        else:
            state[name] = found.detach().clone()
    if wrong:
        raise StateError(f"the saved state does not fit {method!r} with {k} tasks: {'; '.join(wrong)}.")
    return state
