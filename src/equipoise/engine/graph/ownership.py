"""Which parameters are shared, decided from gradients that came back."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import StateError, listed

__all__ = ["Ownership"]


class Ownership:
    """Remembers which tasks have reached which parameter.

    A task reaches a parameter when its gradient there is neither None nor exactly zero; graph reachability alone is
    not asked, because one node with several outputs (as under DDP's search for unused parameters, or a compiled model)
    makes every head look shared. What was once reached by two tasks stays shared.

    Parameters are named after `model` where there is one, else by the order in which they were first met, with their
    shape. Names are what a saved state holds.
    """

    def __init__(self, model: nn.Module | None = None, shared: Sequence[Tensor] | None = None) -> None:
        self.fixed = None if shared is None else {id(parameter) for parameter in shared}
        self._names = {} if model is None else {id(tensor): name for name, tensor in model.named_parameters()}
        self._has_model = model is not None
        self._alive: list[Tensor] = []  # keeps ids from being reused
        self._reached: dict[str, frozenset[int]] = {}
        self._restored = False

    def meet(self, parameters: Sequence[Tensor], *, complete: bool) -> None:
        """Gives a name to each parameter that has none.

        Args:
            parameters: In the order of the walk.
            complete: Whether every task takes part in this step.

        Raises:
            StateError: A saved state speaks of parameters by order, and this first step does not show them all.
        """
        new = [parameter for parameter in parameters if id(parameter) not in self._names]
        if self._restored and new and not complete and not self._has_model:
            raise StateError(
                "the state was saved by a balancer without `model=`, so parameters are told apart by their order, but "
                "the first step after loading leaves out tasks. Build it with eq.Balancer(method, model=model)."
            )
        for parameter in new:
            self._names[id(parameter)] = f"parameter {len(self._names)} {tuple(parameter.shape)}"
            self._alive.append(parameter)
        known = set(self._names.values())
        unknown = [name for name in self._reached if name not in known]
        if self._restored and unknown and complete:
            raise StateError(f"the saved state belongs to another model: it knows {listed(unknown[:5])}.")
        self._restored = False if complete else self._restored

    def name(self, parameter: Tensor) -> str:
        """The parameter's name."""
        return self._names[id(parameter)]

    def is_shared(self, parameter: Tensor) -> bool:
        """Whether two tasks have reached it, or it was declared shared."""
        if self.fixed is not None:
            return id(parameter) in self.fixed
        return len(self._reached.get(self.name(parameter), ())) > 1

    def is_settled(self, parameter: Tensor) -> bool:
        """Whether two tasks are known to reach it, so that its gradients need not be looked at again."""
        return len(self._reached.get(self.name(parameter), ())) > 1

    def may_be_shared(self, parameter: Tensor) -> bool:
        """Whether it is shared, or nothing is known of it yet."""
        return self.is_shared(parameter) or (self.fixed is None and self.name(parameter) not in self._reached)

    def order(self, parameter: Tensor) -> int:
        """Its place among the names, for messages that speak of the first."""
        return list(self._names).index(id(parameter))

    def reach(self, parameter: Tensor, gradients: Sequence[tuple[int, Tensor | None]]) -> None:
        """Notes which tasks have a gradient at a parameter.

        Args:
            parameter: Which.
            gradients: Task number and what autograd returned.
        """
        name = self.name(parameter)
        known = self._reached.get(name, frozenset())
        candidates = [(task, gradient) for task, gradient in gradients if gradient is not None and task not in known]
        if not candidates or len(known) > 1:
            return
        # the numbers are looked at (a wait on the device) only until a parameter's ownership is settled
        reached = [task for task, gradient in candidates if bool(torch.count_nonzero(_values(gradient)))]
        self._reached[name] = known | frozenset(reached)

    @property
    def reached(self) -> dict[str, list[int]]:
        """Parameter name -> task numbers, sorted: plain data for a saved state."""
        return {name: sorted(tasks) for name, tasks in self._reached.items()}

    def restore(self, reached: dict[str, list[int]]) -> None:
        """Takes over a saved state."""
        self._reached = {name: frozenset(tasks) for name, tasks in reached.items()}
        self._restored = True


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
