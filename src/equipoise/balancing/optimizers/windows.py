"""Windows of micro-batches: when one opens and ends, and checks in between."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from types import TracebackType
from typing import Any
from weakref import WeakSet

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ...engine.graph.inspection import Guard
from ...engine.step.accumulation import WAY_OUT, Accumulation, balance_waiting, take_in
from ...engine.step.context import Balanced, Context
from ...errors import ClockError, EquipoiseError
from ...methods.base import Step
from ..memory import Memory
from ..ranked import Turn
from ..settings_checks import refuse_accumulation
from .divided import followed
from .line_search import Calls
from .optimizer_steps import OptimizerStep

__all__ = ["Windows", "refuse_flush"]

_OPEN: "WeakSet[Windows]" = WeakSet()
"""Balancers that have received a micro-batch."""


class Windows(Memory):
    """The part of a Balancer that counts micro-batches."""

    calls: Calls
    lost: bool

    def finished(
        self,
        balanced: Balanced,
        values: Sequence[Tensor],
        stack: Tensor | None,
        present: Sequence[int],
        began: float,
        running: OptimizerStep | None,
        weighted: bool,
        turn: Turn | None = None,
    ) -> Tensor:
        """The scalar of a step; see `Balancer`."""
        raise NotImplementedError

    def accumulate(self, steps: int, *, divided: bool = False) -> AbstractContextManager[None]:
        """From now on, one balance for several micro-batches: their gradients are averaged, then balanced.

        Call the Balancer and `backward` on every micro-batch, and the optimizer after the last. Equal micro-batches
        give the result of one big batch (except for layers that depend on the batch, such as BatchNorm). Do not divide
        the losses.

        **A short window**, such as the last 3 batches of an epoch of 7 with ``accumulate(4)``, is balanced as it
        stands on request: ``balancer(losses, flush=True)`` on its last micro-batch (in frameworks:
        ``flush=accelerator.sync_gradients``), or ``balancer.flush().backward()`` after it. An optimizer that steps
        while micro-batches wait for its parameters raises `ClockError`, and so does a change of these parameters
        by hand, so that no gradient moves into the next window unnoticed.

        Args:
            steps: Number of micro-batches per balance; 1 turns accumulation off.
            divided: Whether the training framework divides each loss by the number of micro-batches. Lightning and
                Accelerate do; the Transformers Trainer does unless the model's ``forward`` takes ``**kwargs`` (the
                model is then trusted with the division) or ``compute_loss_func`` is given. The factor that arrives in
                `backward` is undone: 1/`steps`, 1/(the size of a short window) and 1 all give the same direction. With
                a `GradScaler` and powers of two the factor cannot be read; 1/`steps` is then assumed.

        Returns:
            A context manager that ends the accumulation: ``with balancer.accumulate(4): ...``. Leaving it in the middle
            of a window raises `ClockError`. Without ``with`` the accumulation stays on.

        Raises:
            ClockError: Micro-batches still wait for their balance.
            SettingError: The method or the mode of `gradients` cannot be accumulated.

        Memory:
            Between micro-batches the Jacobian of the shared parameters is kept (k gradients), and once more while one
            is added. Methods on losses alone, ``mode="recompute"`` and `Sketch` keep the graphs of all micro-batches
            instead.
        """
        refuse_accumulation(steps, self.method, self.settings)
        if self.accumulation is not None and self.accumulation.done:
            raise ClockError(f"`accumulate` was called again while {self.accumulation.words()}. {WAY_OUT}")
        watch_optimizers()
        before = self.accumulation
        vars(self)["accumulation"] = Accumulation(steps, divided) if steps > 1 else None
        return _Until(self, before)

    @property
    def waiting(self) -> int:
        """Number of micro-batches that wait for their balance."""
        return 0 if self.accumulation is None else self.accumulation.done

    def flush(self) -> Tensor:
        """Balances the waiting micro-batches, whatever their number.

        Returns:
            A scalar with their mean loss as value, for `backward`; the optimizer's step belongs after that.

        Raises:
            ClockError: No micro-batch waits (check `waiting` first), or gradients are off.

        Example:
            >>> import torch, equipoise as eq
            >>> model, balancer = torch.nn.Linear(2, 2), eq.Balancer(eq.MGDA())
            >>> _ = balancer.accumulate(4)
            >>> for number in range(3):
            ...     balancer(list(model(torch.ones(1, 2)).square().mean(0))).backward()
            >>> model.weight.grad is None, balancer.waiting
            (True, 3)
            >>> balancer.flush().backward()
            >>> model.weight.grad is None, balancer.waiting
            (False, 0)
        """
        scalar: Tensor = self(None, flush=True)
        return scalar

    def discard(self) -> None:
        """Forgets the micro-batches that wait for their balance, if any; no parameter receives their gradients."""
        if self.accumulation is not None:
            vars(self)["accumulation"] = self.accumulation.emptied()

    def take_in(self, now: Context, waiting: Accumulation) -> None:
        """Adds a micro-batch to the window."""
        _OPEN.add(self)  # optimizers are checked while micro-batches wait
        with Guard(now.losses):
            more = take_in(now, waiting)
        vars(self)["accumulation"] = more

    def flushed(
        self,
        waiting: Accumulation,
        began: float,
        running: OptimizerStep | None,
        turn: Turn | None = None,
        note: Mapping[str, object] | None = None,
        values: Sequence[Tensor] = (),
        present: Sequence[int] = (),
    ) -> Tensor:
        """The scalar of a window; its value is the mean loss of the last micro-batch if given, else of all."""
        means, names = waiting.losses(), self.tasks or ()
        step = Step(waiting.tasks(names), means, waiting.preference)
        state = self.current_state(means.device)
        now = Context(self.method, [], step, state, self.tools, self.settings, self.carried)
        try:
            if turn is not None:
                now = turn.window(waiting, now, note)
            with Guard([means]):
                balanced = balance_waiting(now, waiting)
        except EquipoiseError as error:  # another micro-batch would not mend it; an interruption keeps them
            self.lost = True
            error.add_note(f"This window ({waiting.done} of {waiting.steps} micro-batches) was forgotten.")
            raise
        vars(self)["accumulation"] = waiting.emptied()
        if not values:
            values, present = means.to(waiting.dtype).unbind(), waiting.tasks(names).present
        scalar = self.finished(balanced, values, None, present, began, running, self.calls.weighted, turn)
        return followed(scalar, waiting.steps, waiting.done, divided=waiting.divided)


def refuse_flush(waiting: Accumulation | None, active: bool) -> Accumulation:
    """The waiting micro-batches; raises `ClockError` where there are none, or where gradients are off."""
    if waiting is None or not waiting.done:
        raise ClockError("`flush` found no micro-batch that waits for its balance: write `if balancer.waiting:` first.")
    if not active:
        raise ClockError(
            f"`flush` is a step of training, and {waiting.words()}: call it in train mode, outside torch.no_grad()."
        )
    return waiting


@cache
def watch_optimizers() -> None:
    """Registers hooks on every optimizer's step, once per process."""
    register_optimizer_step_pre_hook(_before)
    register_optimizer_step_post_hook(_after)


def _before(optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    if len(arguments) > 1 or keywords.get("closure") is not None:
        return  # the window's last micro-batch may come in the closure, as in Lightning
    _refuse_early(optimizer)


def _after(optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    del arguments, keywords
    _refuse_early(optimizer)


def _refuse_early(optimizer: Optimizer) -> None:
    waiting = [owner.accumulation for owner in tuple(_OPEN) if owner.accumulation is not None]
    waiting = [accumulation for accumulation in waiting if accumulation.done]
    if not waiting:
        return
    parameters = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for accumulation in waiting:
        if accumulation.leads_to(parameters):
            raise ClockError(
                f"{type(optimizer).__name__} steps while {accumulation.words()}: this step would miss their gradients, "
                f"and the next window would get them. {WAY_OUT}"
            )


class _Until(AbstractContextManager[None]):
    """Ends an accumulation at the end of a ``with`` block."""

    def __init__(self, owner: Windows, before: Accumulation | None) -> None:
        self._owner = owner
        self._before = before

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended, self._owner.accumulation = self._owner.accumulation, self._before
        if kind is None and ended is not None and ended.done:
            raise ClockError(
                f"`accumulate` ended after {ended.done} of {ended.steps} micro-batches: never balanced, and "
                "no parameter has received their gradients. Call balancer.flush().backward() inside the block, or use "
                "accumulate(steps) with the number that there are."
            )
