"""A Balancer's state as plain tensor keys.

Not buffers (DDP would broadcast them) and not extra state (safetensors refuses it): every entry is a tensor; names and
counts are stored as UTF-8 bytes of JSON. A fresh Balancer of the same method loads it strictly; nothing is changed when
it does not fit.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from ..engine.engine_state import Carried, as_data
from ..errors import StateError, listed
from ..methods.base import JacobianMethod
from .copies import STATE, TRAINED, Copyable

__all__ = ["Saved", "read_state", "state_keys", "write_state"]

_ABOUT = "about"
_FORMAT = 1


def write_state(balancer: Copyable, destination: dict[str, Any], prefix: str) -> None:
    """Add a Balancer's keys to a state dict.

    Args:
        balancer: The Balancer whose state is written.
        destination: The state dict.
        prefix: Prefix of the Balancer's keys.

    Raises:
        StateError: Micro-batches are waiting for their balance: their gradients are not saved.
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
        "format": _FORMAT,
    }
    destination[prefix + _ABOUT] = torch.tensor(list(json.dumps(about, sort_keys=True).encode()), dtype=torch.uint8)
    for name, tensor in balancer.state.items():
        destination[prefix + STATE + name] = tensor.detach().clone()


def state_keys(balancer: Copyable, prefix: str) -> set[str]:
    """The keys that a saved state of this Balancer may hold."""
    declared = balancer.method.state_tensors
    kept = {prefix + STATE + tensor.name for tensor in declared if not tensor.trained}
    return {prefix + _ABOUT, *kept, *(prefix + TRAINED + tensor.name for tensor in declared if tensor.trained)}


def _leftovers(balancer: Copyable, prefix: str) -> set[str]:
    """Keys of copies of trained parameters, which earlier versions wrote after a step with reused weights."""
    return {prefix + STATE + tensor.name for tensor in balancer.method.state_tensors if tensor.trained}


def read_state(balancer: Copyable, state_dict: Mapping[str, Any], prefix: str) -> None:
    """Load a saved state, and discard micro-batches that wait for their balance.

    Args:
        balancer: A Balancer with the same method, fresh or not.
        state_dict: The dict that `write_state` filled.
        prefix: Prefix of the Balancer's keys.

    Raises:
        StateError: The state is of another method, other tasks, another granularity or another version; keys are
            missing, unknown, or of another shape or type; numbers are NaN or inf where none can be, or impossible
            (a negative count). All faults are named, and nothing was changed.
    """
    from .saved_numbers import read_about, wrong_tensors  # noqa: PLC0415 - pydantic is slow to import

    if prefix + _ABOUT not in state_dict:
        raise StateError(f"no Balancer was saved under '{prefix}': the key '{prefix}{_ABOUT}' is missing.")
    about = read_about(state_dict[prefix + _ABOUT], prefix + _ABOUT)
    if about.method != repr(balancer.method):
        raise StateError(f"the state was saved by {about.method}; this Balancer has {balancer.method!r}.")
    if about.granularity != balancer.settings.granularity:
        raise StateError(
            f"the state was saved with granularity='{about.granularity}'; this Balancer has "
            f"'{balancer.settings.granularity}'."
        )
    tasks = about.tasks
    if balancer.tasks is not None and tasks != balancer.tasks:
        raise StateError(
            f"the state was saved for the tasks {listed(tasks or ())}; this Balancer has {listed(balancer.tasks)}."
        )
    wrong = about.contradictions() + _wrong_for(balancer, about.carried)
    if not wrong:
        wrong = wrong_tensors(balancer, state_dict, prefix, len(tasks or ()), about.carried)
    known = state_keys(balancer, prefix) | _leftovers(balancer, prefix)
    unknown = sorted(str(key) for key in state_dict if str(key).startswith(prefix) and key not in known)
    wrong += [f"{listed(unknown)} {'is' if len(unknown) == 1 else 'are'} unknown"] if unknown else []
    if wrong:
        raise StateError(
            f"the saved state does not fit {balancer.method!r} with {len(tasks or ())} tasks: {'; '.join(wrong)}. "
            "Nothing was changed."
        )
    names = [tensor.name for tensor in balancer.method.state_tensors if not tensor.trained]
    found = {name: state_dict[prefix + STATE + name] for name in names if prefix + STATE + name in state_dict}
    if tasks is not None and balancer.tasks is None:
        balancer.fix_tasks(tasks)
    balancer.discard()
    vars(balancer).update(
        state={name: tensor.detach().clone() for name, tensor in found.items()} if tasks is not None else {},
        carried=about.carried,
        steps=about.steps,
    )
    balancer.counts.clear()
    balancer.counts.update(about.counts)
    balancer.ownership.restore({name: list(numbers) for name, numbers in about.reached.items()})


def _wrong_for(balancer: Copyable, carried: Carried) -> list[str]:
    wrong = []
    if carried.groups and balancer.settings.granularity == "model":
        wrong.append("'carried.groups' names groups, and there are none with granularity='model'")
    if carried.layout and not isinstance(balancer.method, JacobianMethod):
        wrong.append("'carried.layout' names parameters, which only a Jacobian method remembers")
    return wrong


class Saved(Copyable):
    """Writes and reads a Balancer's keys where PyTorch saves and loads a module."""

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        write_state(self, destination, prefix)

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
        if prefix and not any(str(key).startswith(prefix) for key in state_dict):
            missing_keys.append(prefix + _ABOUT)  # the checkpoint is older than the Balancer: torch decides
            return
        read_state(self, state_dict, prefix)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        ours = state_keys(self, prefix) | _leftovers(self, prefix)
        unexpected_keys[:] = [key for key in unexpected_keys if key not in ours]
