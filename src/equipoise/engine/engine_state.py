"""State of the engine between steps, beside the method's: plain data, saved with it."""

from dataclasses import asdict, dataclass
from typing import Any

from .blocks.layout import Layout

__all__ = ["FIRST_POWER", "Carried", "Reused", "as_data"]

FIRST_POWER = 16  # exponent of two at which GradScaler starts


@dataclass(frozen=True)
class Reused:
    """Weights that later steps reuse (`Every`).

    Attributes:
        present: Numbers of the tasks that the weights belong to.
        weights: One weight per task for the shared parameters.
        heads: One weight per task for its own parameters.
        age: Number of steps that have used them.
    """

    present: tuple[int, ...]
    weights: tuple[float, ...]
    heads: tuple[float, ...]
    age: int


@dataclass(frozen=True)
class Carried:
    """Engine state carried from step to step.

    Attributes:
        layout: Order of coordinates of a Jacobian method's state.
        groups: Names of the groups, in the order of the state's first axis (``granularity=``).
        reused: Weights that later steps reuse; None without `Every`.
        power: Exponent of the power of two that multiplies the losses for our passes where float16 occurs.
    """

    layout: Layout = ()
    groups: tuple[str, ...] = ()
    reused: Reused | None = None
    power: int = FIRST_POWER


def as_data(carried: Carried) -> dict[str, Any]:
    """The state as JSON can hold it; floats are restored exactly."""
    return asdict(carried)
