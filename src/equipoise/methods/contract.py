"""Inputs and outputs of a method: the state it declares, the step it sees, the answer it returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..core.tasks import Preference, Tasks
from ..solve import Status

__all__ = ["Answer", "CounterExample", "Heads", "Needs", "State", "StateTensor", "Step"]

State = Mapping[str, Tensor]
"""Everything that a method remembers: name -> tensor, as declared in `Method.state_tensors`."""

Needs = Literal["losses", "gramian", "jacobian", "features"]
"""Quantity that the engine must compute. ``features``: the Gramian of the gradients at the shared representation."""

Heads = Literal["own", "weighted"]
Merge = Literal["same", "mean", "sum", "min", "max"]


@dataclass(frozen=True)
class StateTensor:
    """Declares one tensor of a method's state.

    Attributes:
        name: Key of the tensor in the state.
        task_axes: Axes whose length is the number of tasks. Entries of a task that is absent from a step are
            neither shown to the method nor changed.
        merge: Rule that makes one tensor of those of several ranks. ``same``: they are equal by construction.
        trained: Whether the user's optimizer trains it (it is then an `nn.Parameter` of the Balancer).
    """

    name: str
    task_axes: tuple[int, ...] = (0,)
    merge: Merge = "same"
    trained: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """What a method sees of one step besides its main argument.

    Attributes:
        tasks: Names, and which tasks the rows belong to.
        losses: (k,), detached, float64; None where only arrays were given.
        preference: The user's preference, or None.
        count: Number of tasks present in the step, those with a zero gradient included: means divide by it.
        factor: Matrix (k, k) with factor.T @ factor = G, from a QR of the Jacobian where there is one: keeps the digits
            that squaring loses. None where only G is known.
        cross_gramian: (k, k) inner products of the gradients of two independent batches, or None.
    """

    tasks: Tasks
    losses: Tensor | None = None
    preference: Preference | None = None
    count: int = 0
    factor: Tensor | None = None
    cross_gramian: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.count:
            object.__setattr__(self, "count", len(self.tasks.present))

    @property
    def root(self) -> NDArray[np.float64] | None:
        """`factor` for the solvers: float64 on the CPU, or None."""
        return None if self.factor is None else self.factor.cpu().double().numpy()


class Answer(NamedTuple):
    """What a method returns.

    Attributes:
        value: Scalar of a loss method, weights (k,) of a Gramian method, direction (n,) of a Jacobian method.
        state: The state after this step.
        status: Outcome of the solve, recorded and counted by name.
        certificate: Relative residual of the solve, 0 where there is none.
        trained: Gradients of trained state tensors, by name, for a Gramian method that has some (IMTL); those of a
            loss method are taken by differentiating its scalar.
    """

    value: Tensor
    state: State
    status: Status = Status.SOLVED
    certificate: float = 0.0
    trained: Mapping[str, Tensor] = MappingProxyType({})


class CounterExample(NamedTuple):
    """An input on which a method breaks a law.

    Attributes:
        jacobian: Gradients of the tasks as rows of numbers, (k, n).
        losses: Losses of the tasks, (k,), or None for ones.
    """

    jacobian: tuple[tuple[float, ...], ...]
    losses: tuple[float, ...] | None = None
