"""What a balancing method is: a frozen dataclass of settings with one pure function.

Three kinds, by what they consume:

* `LossMethod`: losses -> one scalar to differentiate (`WeightedSum` where it is a sum with weights held fixed),
* `GramianMethod`: Gramian (and losses, preference) -> weights,
* `JacobianMethod`: Jacobian -> direction.

A method is a value: it prints as the call that made it, compares, hashes, and holds no tensors. What it remembers is a
`State`, a dict of tensors of fixed shape that is passed in and returned; each tensor is declared once, with the axes
that count tasks (so that an absent task's entries stay untouched), how it merges over ranks, and whether an optimizer
trains it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.tasks import Preference
from ..errors import ClockError
from .contract import Answer, CounterExample, Heads, Needs, State, StateTensor, Step

__all__ = [
    "Answer",
    "CounterExample",
    "GramianMethod",
    "Heads",
    "JacobianMethod",
    "LossMethod",
    "Method",
    "Needs",
    "State",
    "StateTensor",
    "Step",
    "WeightedSum",
]


@dataclass(frozen=True)
class Method(ABC):
    """Common to all methods. Subclass one of the three kinds below.

    Attributes:
        needs: Quantity that the engine must compute.
        source: Authors, year, and where to read it.
        cost: Cost of a step beyond that of `needs`, in words.
        state_tensors: Declaration of the state; empty for a method without memory.
        honours: Kinds of preference that the method can follow.
        on_layer: Whether the method is defined on the gradients of one layer (``layer=``), which is then no
            approximation.
    """

    needs: ClassVar[Needs]
    heads: ClassVar[Heads]
    source: ClassVar[str]
    cost: ClassVar[str]
    state_tensors: ClassVar[tuple[StateTensor, ...]] = ()
    honours: ClassVar[tuple[type[Preference], ...]] = ()
    on_layer: ClassVar[bool] = False

    @property
    def per_epoch(self) -> bool:
        """Whether the method needs the epoch clock (`Balancer.end_epoch` or ``steps_per_epoch=``)."""
        return False

    @property
    def trains(self) -> bool:
        """Whether an optimizer must be given parameters of this method."""
        return any(tensor.trained for tensor in self.state_tensors)

    @property
    def remembers_units(self) -> bool:
        """Whether the state holds multiples of gradients or losses, so that all steps must be in one unit."""
        return not {tensor.name for tensor in self.state_tensors} <= {"seed", "step", "targets"}

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
            losses: Losses of all tasks, (k,), float64, detached.
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

    def refutes(self) -> Mapping[str, CounterExample]:
        """Laws that these settings break, each with an input that shows it."""
        return {}


@dataclass(frozen=True)
class LossMethod(Method):
    """Losses -> one scalar. Costs nothing per step; every parameter, shared or not, gets the scalar's gradient."""

    needs: ClassVar[Needs] = "losses"
    heads: ClassVar[Heads] = "weighted"

    @abstractmethod
    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        """The scalar whose gradient the model follows.

        Args:
            losses: Losses of the present tasks, (k,), float64, differentiable.
            state: State, restricted to the present tasks.
            step: Names of the tasks, and the preference.

        Returns:
            The scalar, differentiable in `losses` and in trained state, and the new state, detached.
        """

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        r"""The weights that the scalar implies, :math:`a_i = \partial \phi / \partial L_i`.

        Differentiates `scalar`. A method may give the derivative in closed form instead, which is several times faster;
        `check_method` compares the two.

        Args:
            losses: Losses of the present tasks, (k,), float64, detached.
            state: State, restricted to the present tasks.
            step: Names of the tasks, and the preference.

        Returns:
            Weights (k,), float64, the same new state, and in ``trained`` the slope of each trained state tensor.
        """
        names = [tensor.name for tensor in self.state_tensors if tensor.trained]
        trained = {name: state[name].detach().requires_grad_() for name in names}
        with torch.enable_grad():
            leaf = losses.detach().requires_grad_()
            answer = self.scalar(leaf, {**state, **trained}, step)
            wanted = [leaf, *trained.values()]
            found = torch.autograd.grad(answer.value, wanted, allow_unused=True, materialize_grads=True)
        after = {name: tensor.detach() for name, tensor in answer.state.items()}
        return Answer(found[0], after, answer.status, answer.certificate, dict(zip(trained, found[1:], strict=True)))


@dataclass(frozen=True)
class WeightedSum(LossMethod):
    r"""A loss method whose scalar is :math:`\sum_i a_i L_i` with weights a that are not differentiated.

    No derivative has to be taken. The laws below are those of weights that
    sum to 1; a method whose weights do not, or that treats tasks differently, says so itself.
    """

    @abstractmethod
    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        """The weights of the tasks (k,), float64, and the new state. Arguments as in `LossMethod`."""

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        answer = self.implied_weights(losses.detach(), state, step)
        return answer._replace(value=(answer.value * losses).sum())

    def claims(self, k: int) -> frozenset[str]:
        laws = {"simplex", "permutation", "unanimity", "single"}
        laws |= set() if self.degree() is None else {"degree"}
        return frozenset(laws | {"no_conflict"} if k == 1 else laws)

    def degree(self) -> float | None:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        return {"no_conflict": CounterExample(((1.0,), (-50.0,)))}


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
            state: State, restricted to the same tasks.
            step: Names of the tasks, losses, preference, and the number of present tasks.

        Returns:
            Weights (k,), float64, the new state, and in ``trained`` the gradient of each trained state tensor.
        """


@dataclass(frozen=True)
class JacobianMethod(Method):
    """Jacobian -> direction, for methods that look at single coordinates or remember gradients."""

    needs: ClassVar[Needs] = "jacobian"
    heads: ClassVar[Heads] = "own"

    @abstractmethod
    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        """The direction.

        Args:
            jacobian: Gradients of the present tasks, (k, n), of one block of parameters or all of them.
            state: State, restricted to the present tasks.
            step: Names of the tasks, losses, and the preference.

        Returns:
            The direction (n,) and the new state.
        """
