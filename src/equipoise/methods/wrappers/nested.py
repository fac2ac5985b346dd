"""A Gramian method inside another method: its state under a prefix, its clocks and its answers to the engine."""

from dataclasses import dataclass, replace

from torch import Tensor

from ..base import GramianMethod, Method, State, StateTensor
from ..gramian.mgda import MGDA

__all__ = ["AroundMethod"]

_PREFIX = "inner_"


@dataclass(frozen=True)
class AroundMethod(Method):
    """Base of `Smoothed` and `Tracked`: the inner method's memory is kept in the outer state, prefixed ``inner_``.

    Args:
        method: Method that the wrapper goes around.
    """

    method: GramianMethod = MGDA()  # noqa: RUF009 - a value: frozen, hashable, without memory

    @property
    def per_epoch(self) -> bool:
        return self.method.per_epoch

    def end_epoch(self, state: State) -> State:
        return {**state, **self.nested(self.method.end_epoch(self.inner_state(state)))}

    def observe(self, losses: Tensor, state: State) -> State:
        return {**state, **self.nested(self.method.observe(losses, self.inner_state(state)))}

    def settle(self, own: tuple[StateTensor, ...], answered: tuple[str, ...]) -> None:
        """Declares the state, and lets the inner method answer what the engine asks.

        Args:
            own: The outer method's state tensors.
            answered: Class attributes that are to be the inner method's.
        """
        inner = tuple(replace(tensor, name=_PREFIX + tensor.name) for tensor in self.method.state_tensors)
        object.__setattr__(self, "state_tensors", (*own, *inner))
        for name in answered:
            object.__setattr__(self, name, getattr(self.method, name))

    def nested(self, state: State) -> State:
        """The inner method's state as part of the outer one's."""
        return {_PREFIX + name: tensor for name, tensor in state.items()}

    def inner_state(self, state: State) -> State:
        """The part of the outer method's state that is the inner one's."""
        return {tensor.name: state[_PREFIX + tensor.name] for tensor in self.method.state_tensors}
