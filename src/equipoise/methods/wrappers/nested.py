"""States of a method inside a method: the inner names get a prefix, and nothing else changes."""

from dataclasses import replace

from ..base import Method, State, StateTensor

__all__ = ["inner_state", "nest_declaration", "nest_state"]

_PREFIX = "inner_"


def nest_declaration(method: Method) -> tuple[StateTensor, ...]:
    """The inner method's state tensors as the outer method declares them."""
    return tuple(replace(tensor, name=_PREFIX + tensor.name) for tensor in method.state_tensors)


def nest_state(state: State) -> State:
    """The inner method's state as part of the outer one's."""
    return {_PREFIX + name: tensor for name, tensor in state.items()}


def inner_state(method: Method, state: State) -> State:
    """The part of the outer method's state that is the inner one's."""
    return {tensor.name: state[_PREFIX + tensor.name] for tensor in method.state_tensors}
