"""What a balancing method is: a frozen dataclass of settings with one pure function.

Three kinds, by what they consume:

* `LossMethod`: losses -> one scalar to differentiate,
* `GramianMethod`: Gramian (and losses, preference) -> weights,
* `JacobianMethod`: Jacobian -> direction.

A method is a value: it prints as the call that made it, compares, hashes, and holds no tensors. What it remembers is a
`State`, a dict of tensors of fixed shape that is handed in and out; each tensor is declared once, with the axes that
count tasks (so that an absent task's entries stay untouched), how it merges over ranks, and whether an optimizer
trains it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from ..errors import ClockError
from ..solve import Status
from ..types import Preference, Tasks

__all__ = [
    "Answer",
    "CounterExample",
    "GramianMethod",
    "JacobianMethod",
    "LossMethod",
    "Method",
    "State",
    "StateTensor",
    "Step",
]

State = Mapping[str, Tensor]
"""Everything that a method remembers: name -> tensor, as declared in `Method.state_tensors`."""

Needs = Literal["losses", "gramian", "jacobian", "features"]
"""What the engine must compute. ``features``: the Gramian of the gradients at the shared representation."""

Heads = Literal["own", "weighted"]
Merge = Literal["same", "mean", "sum", "min", "max"]


@dataclass(frozen=True)
class StateTensor:
    """Declares one tensor of a method's state.

    Attributes:
        name: Key in the state.
        task_axes: Axes whose length is the number of tasks. Entries of a task that is absent from a step are
            neither shown to the method nor changed.
        merge: How the tensors of several ranks become one. ``same``: they are equal by construction.
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
        preference: What was asked for, or None.
        count: Number of tasks present in the step, those with a zero gradient included: means divide by it.
        factor: (k, k) with factor.T @ factor = G, from a QR of the Jacobian where that was at hand: keeps the digits
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


class Answer(NamedTuple):
    """What a method returns.

    Attributes:
        value: Scalar of a loss method, weights (k,) of a Gramian method, direction (n,) of a Jacobian method.
        state: The state after this step.
        status: What became of the solve; recorded and counted by name.
        certificate: Relative residual of the solve, 0 where there is none.
        trained: Gradients of trained state tensors, by name, for a Gramian method that has some (IMTL); those of a
            loss method are taken by differentiating its scalar.
    """

    value: Tensor
    state: State
    status: Status = Status.SOLVED
    certificate: float = 0.0
    trained: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class Method(ABC):
    """Common to all methods. Subclass one of the three kinds below.

    Attributes:
        needs: What the engine must compute.
        source: Authors, year, where to read it.
        cost: Per step, beyond what `needs` costs, in words.
        state_tensors: Declaration of the state; empty for a method without memory.
        honours: Kinds of preference that the method can follow.
    """

    needs: ClassVar[Needs]
    heads: ClassVar[Heads]
    source: ClassVar[str]
    cost: ClassVar[str]
    state_tensors: ClassVar[tuple[StateTensor, ...]] = ()
    honours: ClassVar[tuple[type[Preference], ...]] = ()

    @property
    def per_epoch(self) -> bool:
        """Whether the method needs the epoch clock (`Balancer.end_epoch` or ``steps_per_epoch=``)."""
        return False

    @property
    def trains(self) -> bool:
        """Whether an optimizer must be given parameters of this method."""
        return any(tensor.trained for tensor in self.state_tensors)

    def init(self, k: int, n: int = 0) -> State:
        """The state before the first step.

        Args:
            k: Number of tasks.
            n: Number of shared parameters; only Jacobian methods look at it.

        Returns:
            One tensor for each entry of `state_tensors`.
        """
        del k, n
        return {}

    def end_epoch(self, state: State) -> State:
        """The state after an epoch has ended.

        Args:
            state: The state after the epoch's last step.

        Returns:
            The new state.

        Raises:
            ClockError: The method has no use for epochs.
        """
        del state
        raise ClockError(f"{self!r} does not move per epoch: it has no end_epoch.")

    def observe(self, losses: Tensor, state: State) -> State:
        """The state after the losses were seen once more, at the new parameters (FAMO).

        Args:
            losses: (k,) of all tasks, float64, detached.
            state: The state after the step.

        Returns:
            The new state; unchanged for methods that do not observe.
        """
        del losses
        return state

    def claims(self, k: int) -> frozenset[str]:
        """Names of the laws (`equipoise.laws`) that hold for k tasks with these settings."""
        del k
        return frozenset()

    def degree(self) -> float | None:
        """The p in: scaling every loss by c > 0 scales the direction by c^p. None where there is no such p."""
        return None

    def refutes(self) -> Mapping[str, "CounterExample"]:
        """Laws that these settings break, each with an input that shows it."""
        return {}


class CounterExample(NamedTuple):
    """An input on which a method breaks a law.

    Attributes:
        jacobian: Rows of numbers, (k, n).
        losses: (k,), or None for ones.
    """

    jacobian: tuple[tuple[float, ...], ...]
    losses: tuple[float, ...] | None = None


@dataclass(frozen=True)
class LossMethod(Method):
    """Losses -> one scalar. Costs nothing per step; every parameter, shared or not, gets the scalar's gradient."""

    needs: ClassVar[Needs] = "losses"
    heads: ClassVar[Heads] = "weighted"

    @abstractmethod
    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        """The scalar whose gradient the model follows.

        Args:
            losses: (k,) of the present tasks, float64, differentiable.
            state: Restricted to the present tasks.
            step: Names and preference.

        Returns:
            The scalar, differentiable in `losses` and in trained state, and the new state, detached.
        """


@dataclass(frozen=True)
class GramianMethod(Method):
    """Gramian -> weights; the direction is ``weights @ jacobian``.

    Attributes:
        on_host: Whether the method solves something on the CPU. The engine then copies the Gramian once a step; it
            leaves it on the device otherwise.
        samples_twice: Whether the method makes use of a second batch (`Step.cross_gramian`).
    """

    needs: ClassVar[Needs] = "gramian"
    heads: ClassVar[Heads] = "own"
    on_host: ClassVar[bool] = True
    samples_twice: ClassVar[bool] = False

    @property
    def leaves_out_zero_gradients(self) -> bool:
        """Whether tasks with an exactly zero gradient are taken out of the problem (their weight is then 0)."""
        return True

    @abstractmethod
    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        """The weights of the tasks.

        Args:
            gramian: (k, k), float64, finite, symmetric, without zero rows where those are left out.
            state: Restricted to the same tasks.
            step: Names, losses, preference, and the number of present tasks.

        Returns:
            Weights (k,), float64, the new state, and in ``trained`` the gradient of each trained state tensor.
        """


@dataclass(frozen=True)
class JacobianMethod(Method):
    """Jacobian -> direction, for methods that look at single coordinates or remember gradients.

    Attributes:
        by_coordinate: Whether the Jacobian may be handed over in blocks of columns, one after the other.
    """

    needs: ClassVar[Needs] = "jacobian"
    heads: ClassVar[Heads] = "own"
    by_coordinate: ClassVar[bool] = True

    @abstractmethod
    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        """The direction.

        Args:
            jacobian: (k, n) of one block of parameters, or all of them.
            state: Restricted to the present tasks.
            step: Names, losses, preference.

        Returns:
            The direction (n,) and the new state.
        """
