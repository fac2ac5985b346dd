"""Which parameters are shared, decided from returned gradients."""

import copy
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import StateError, listed

__all__ = ["Ownership"]

_VERSIONS = itertools.count()


class Ownership:
    """Remembers which tasks have reached which parameter.

    A task reaches a parameter when its gradient there is neither None nor exactly zero. Graph reachability alone does
    not decide, because one node with several outputs (as under DDP's search for unused parameters, or a compiled model)
    makes every head look shared. A parameter that two tasks have reached stays shared.

    Parameters are `nn.Parameter` leaves and the tensors in `shared`; where neither has occurred (functional code), all
    leaves are. Any other leaf that requires grad is an input (collocation points, an adversarial batch): it is never
    shared, has no name of its own and is not remembered.

    Parameters are named after `model` where there is one, else by the order in which they first occurred, with their
    shape. A saved state holds these names. No tensor is kept alive. In functional code, which makes new tensors in
    each step, a tensor takes over the name of a freed one of its shape.
    """

    def __init__(self, model: nn.Module | None = None, shared: Sequence[Tensor] | None = None) -> None:
        self.fixed = None if shared is None else {id(parameter) for parameter in shared}
        self._names: dict[int, str] = {}
        self._watched: dict[int, weakref.ref[Tensor]] = {}
        self._free: dict[int, str] = {}  # of plain tensors that are gone, by the order of meeting
        self._met = 0
        self._functional = True
        self._has_model = model is not None
        self._reached: dict[str, frozenset[int]] = {}
        self._restored = False
        self.version = next(_VERSIONS)  # changes with what is known of any parameter
        self.before: dict[str, Any] | None = None
        for name, parameter in () if model is None else model.named_parameters():
            self._add(parameter, name, self._met)

    def _add(self, parameter: Tensor, name: str, number: int) -> None:
        key, names, watched = id(parameter), self._names, self._watched
        free = None if isinstance(parameter, nn.Parameter) else self._free

        def gone(_: object) -> None:  # another tensor may get the same id
            del names[key], watched[key]
            if free is not None:
                free[number] = name

        names[key], watched[key] = name, weakref.ref(parameter, gone)
        self._met = max(self._met, number + 1)

    def meet(self, leaves: Sequence[Tensor], *, complete: bool) -> None:
        """Gives a name to each parameter that has none.

        Args:
            leaves: Parameters and inputs, in the order of the walk.
            complete: Whether every task takes part in this step.

        Raises:
            StateError: A saved state names parameters by order, and this first step does not show them all.
        """
        new = [leaf for leaf in leaves if id(leaf) not in self._names]
        functional = self._functional and not (new and any(isinstance(leaf, nn.Parameter) for leaf in leaves))
        if not functional:
            new = [leaf for leaf in new if isinstance(leaf, nn.Parameter) or id(leaf) in (self.fixed or ())]
        if new or self._restored or functional != self._functional:
            self._change()
            self._functional = functional
        if self._restored and new and not complete and not self._has_model:
            raise StateError(
                "the state was saved by a balancer without `model=`, so parameters are told apart by their order, but "
                "the first step after loading leaves out tasks. Build it with eq.Balancer(method, model=model)."
            )
        for parameter in new:
            shape = f" {tuple(parameter.shape)}"
            old = () if isinstance(parameter, nn.Parameter) else sorted(self._free)
            number = next((place for place in old if self._free[place].endswith(shape)), self._met)
            self._add(parameter, self._free.pop(number, f"parameter {number}{shape}"), number)
        if self._restored and complete:
            unknown = sorted(self._reached.keys() - set(self._names.values()), key=list(self._reached).index)
            if unknown:
                raise StateError(f"the saved state belongs to another model: it knows {listed(unknown[:5])}.")
        self._restored = False if complete else self._restored

    def is_parameter(self, leaf: Tensor) -> bool:
        """Whether a leaf is a known parameter, and no input."""
        return id(leaf) in self._names

    def name(self, leaf: Tensor) -> str:
        """Name of a parameter; for an input a phrase with its shape."""
        return self._names.get(id(leaf)) or f"an input of shape {tuple(leaf.shape)}"

    def is_shared(self, leaf: Tensor) -> bool:
        """Whether two tasks have reached it, or it was declared shared."""
        if self.fixed is not None:
            return id(leaf) in self.fixed
        name = self._names.get(id(leaf))
        return name is not None and len(self._reached.get(name, ())) > 1

    def is_settled(self, leaf: Tensor) -> bool:
        """Whether two tasks are known to reach it, so that its gradients need no further check."""
        name = self._names.get(id(leaf))
        return name is not None and len(self._reached.get(name, ())) > 1

    def is_of(self, leaf: Tensor, task: int) -> bool:
        """Whether the given task alone is known to reach it, or `shared` was declared."""
        return self.fixed is not None or self._reached.get(self.name(leaf)) == frozenset((task,))

    def may_be_shared(self, leaf: Tensor) -> bool:
        """Whether it is shared, or nothing is known of it yet."""
        return self.is_shared(leaf) or self.is_unknown(leaf)

    def is_unknown(self, leaf: Tensor) -> bool:
        """Whether it is a parameter whose owner is not known yet."""
        name = self._names.get(id(leaf))
        return self.fixed is None and name is not None and name not in self._reached

    def order(self, parameter: Tensor) -> int:
        """Its place among the names, for messages that name the first parameter; inputs come last."""
        names = list(self._names)
        return names.index(id(parameter)) if id(parameter) in self._names else len(names)

    def reach(self, parameter: Tensor, gradients: Sequence[tuple[int, Tensor | None]]) -> None:
        """Notes which tasks have a gradient at a parameter.

        Args:
            parameter: The parameter that was differentiated.
            gradients: Pairs of a task's number and the gradient that autograd returned for it.
        """
        name = self._names.get(id(parameter))
        if name is None:
            return
        known = self._reached.get(name, frozenset())
        candidates = [(task, gradient) for task, gradient in gradients if gradient is not None and task not in known]
        if not candidates or len(known) > 1:
            return
        # the numbers are read (a wait on the device) only until a parameter's ownership is settled
        reached = [task for task, gradient in candidates if bool(torch.count_nonzero(_values(gradient)))]
        if reached or name not in self._reached:
            self._change()
            self._reached[name] = known | frozenset(reached)

    @property
    def has_model(self) -> bool:
        """Whether parameters are named after a model, and not by order."""
        return self._has_model

    def learn(self, name: str, tasks: Sequence[int]) -> None:
        """Notes which tasks reach a parameter, from other ranks; it may be one that has not been met here."""
        known = self._reached.get(name, frozenset())
        if not known.issuperset(tasks):
            self._change()
            self._reached[name] = known.union(tasks)

    def knows_shared(self, name: str) -> bool:
        """Whether two tasks have reached the parameter of a name; False where `shared` was declared."""
        return self.fixed is None and len(self._reached.get(name, ())) > 1

    def named(self) -> dict[str, Tensor]:
        """Every living parameter by its name."""
        pairs = ((name, self._watched[key]()) for key, name in self._names.items())
        return {name: leaf for name, leaf in pairs if leaf is not None}

    @property
    def reached(self) -> dict[str, list[int]]:
        """Parameter name -> task numbers, sorted: plain data for a saved state."""
        return {name: sorted(tasks) for name, tasks in self._reached.items()}

    def _change(self) -> None:
        """Stores a copy of what was known when `before` was last set to None; called before every change."""
        if self.before is None:
            self.before = {name: copy.copy(value) for name, value in vars(self).items()}
        self.version = next(_VERSIONS)

    def go_back(self) -> None:
        """Forgets everything learned since `before` was last set to None; freed tensors stay forgotten."""
        known, self.before = self.before, None
        for name, value in (known or {}).items():
            mine = vars(self)[name]
            if isinstance(mine, dict):  # the very objects that weak references tidy up
                mine.clear()
                mine.update(value)
            else:
                setattr(self, name, value)
        for key in [key for key, watched in self._watched.items() if watched() is None]:
            del self._names[key], self._watched[key]

    def restore(self, reached: dict[str, list[int]]) -> None:
        """Loads a saved state."""
        self._reached = {name: frozenset(tasks) for name, tasks in reached.items()}
        self._restored = True
        self.version = next(_VERSIONS)


def _values(gradient: Tensor) -> Tensor:
    return gradient.coalesce().values() if gradient.is_sparse else gradient
