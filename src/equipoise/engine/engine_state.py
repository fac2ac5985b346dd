"""What the engine itself remembers between steps, beside the method's state: plain data, saved with it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .blocks.layout import Layout

__all__ = ["FIRST_POWER", "Carried", "Reused", "as_data", "from_data"]

FIRST_POWER = 16  # of two: where GradScaler starts


@dataclass(frozen=True)
class Reused:
    """Weights that serve again (`Every`).

    Attributes:
        present: The tasks that they belong to.
        weights: One a task, of the shared parameters.
        heads: One a task, of its own parameters.
        age: Steps that have used them.
    """

    present: tuple[int, ...]
    weights: tuple[float, ...]
    heads: tuple[float, ...]
    age: int


@dataclass(frozen=True)
class Carried:
    """From step to step.

    Attributes:
        layout: Order of coordinates of a Jacobian method's state.
        groups: Names of the groups, in the order of the state's first axis (``granularity=``).
        reused: Weights that serve again.
        power: Of two: the internal scale of the passes where float16 is in play.
    """

    layout: Layout = ()
    groups: tuple[str, ...] = ()
    reused: Reused | None = None
    power: int = FIRST_POWER


def as_data(carried: Carried) -> dict[str, Any]:
    """As JSON can hold it; floats come back to the bit."""
    return asdict(carried)


def from_data(data: Mapping[str, Any]) -> Carried:
    """What `as_data` made.

    Example:
        >>> carried = Carried(layout=(("w", 3),), reused=Reused((0, 1), (0.1, 0.9), (0.5, 0.5), 2))
        >>> import json
        >>> from_data(json.loads(json.dumps(as_data(carried)))) == carried
        True
    """
    reused = data["reused"]
    return Carried(
        tuple((str(name), int(size)) for name, size in data["layout"]),
        tuple(data["groups"]),
        None
        if reused is None
        else Reused(tuple(reused["present"]), tuple(reused["weights"]), tuple(reused["heads"]), reused["age"]),
        data["power"],
    )
