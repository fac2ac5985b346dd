"""Calls between steps that move a method's state: the end of an epoch, and losses after the step."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from torch import Tensor, nn

from ..core.losses import numbers_of, read_losses
from ..engine.engine_state import Carried
from ..engine.step.parameter_groups import by_group
from ..errors import ClockError, SettingError, listed
from ..methods.base import Method, State

__all__ = ["Clocks", "refuse_no_clock"]


class Clocks(nn.Module):
    """The part of a Balancer that moves the method's state between steps."""

    method: Method
    tasks: tuple[str, ...] | None
    state: State
    carried: Carried

    def end_epoch(self) -> None:
        """Signal the end of an epoch; ignored by methods that do not use epochs."""
        if self.method.per_epoch:
            if self.tasks is None:
                raise ClockError("`end_epoch` was called before the first step.")
            self._move(self.method.end_epoch)

    def observe(self, losses: Mapping[str, Tensor] | Sequence[Tensor]) -> None:
        """Pass the losses after the optimizer's step to methods that learn from their change (FAMO)."""
        if self.tasks is None:
            raise ClockError("`observe` was called before the first step.")
        present, values = read_losses(losses, self.tasks, differentiable=False)
        seen, numbers = self.seen_by_all(present, numbers_of(values))
        if len(seen) != len(self.tasks):
            absent = listed(name for number, name in enumerate(self.tasks) if number not in seen)
            raise SettingError(f"`observe` needs the losses of all tasks; those of {absent} are None.")
        self._move(lambda state: self.method.observe(numbers, state))

    def seen_by_all(self, present: Sequence[int], numbers: Tensor) -> tuple[Sequence[int], Tensor]:
        """Tasks and losses of all ranks; see `Ranked`."""
        return present, numbers

    def _move(self, move: Callable[[State], State]) -> None:
        vars(self)["state"] = by_group(move, self.state, len(self.carried.groups))


def refuse_no_clock(method: Method) -> NoReturn:
    """Raises `ClockError` for a method that moves per epoch in a Balancer without epochs."""
    raise ClockError(
        f"{method!r} moves per epoch and needs to know when one ends. Build it with "
        "eq.Balancer(..., steps_per_epoch=len(loader)), or steps_per_epoch='manual' and call "
        "balancer.end_epoch() after each epoch."
    )
