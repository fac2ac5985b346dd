"""A step that several ranks take together, as one of them sees it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ..cost.plan import Plan
from ..graph.ownership import Ownership
from ..sources.mode import Mode
from .meeting import Told
from .reducer import Reducer
from .roster import Roster
from .wire import Wire

__all__ = ["Joint"]

_HOST = torch.device("cpu")
Kind = Literal["rows", "layer", "features", "sketch"]


@dataclass(frozen=True, eq=False)
class Joint:
    """A step that several ranks take together.

    Attributes:
        roster: Parameters that all ranks know.
        tasks: Numbers of the tasks that some rank has, rising: the rows of the step.
        places: Row of each task that this rank has.
        shares: Shares of this rank for each batch of the step: R times its share of each task's rows.
        kind: What is merged: ``rows`` of gradients (exact), those of one ``layer``, products at ``features``, or
            ``sketch``.
        mode: The way in which gradients are computed.
        whole: Whether every rank needs whole rows.
        complete: Whether this rank has all tasks of the Balancer.
        fresh: Whether some rank needs gradients where weights could be reused.
        device: Device of the gradients.
        alike: Names of tasks whose rows could not be read.
    """

    roster: Roster
    tasks: tuple[int, ...]
    places: tuple[int, ...]
    shares: tuple[tuple[float, ...], ...]
    kind: Kind
    mode: Mode
    whole: bool = False
    complete: bool = True
    fresh: bool = False
    device: torch.device = _HOST
    alike: tuple[str, ...] = ()

    @property
    def wire(self) -> Wire:
        """Collectives of the ranks."""
        return self.roster.meeting.wire

    @property
    def reducer(self) -> Reducer:
        """Knowledge of DistributedDataParallel."""
        return self.roster.reducer

    @property
    def averages(self) -> bool:
        """Whether gradients are averaged over ranks after they are handed out."""
        return self.reducer.averages

    @property
    def tasks_here(self) -> tuple[int, ...]:
        """Numbers of the tasks that this rank has."""
        return tuple(self.tasks[place] for place in self.places)

    def here(self, weights: Tensor) -> Tensor:
        """Weights of this rank's losses, from one weight for each task of the step."""
        return weights[list(self.places)] * torch.tensor(self.shares[0], dtype=weights.dtype).to(weights)

    def only(self, rows: Sequence[int]) -> "Joint":
        """The step with some of its tasks."""
        place = {row: number for number, row in enumerate(rows)}
        kept = [number for number, row in enumerate(self.places) if row in place]
        return replace(
            self,
            tasks=tuple(self.tasks[row] for row in rows),
            places=tuple(place[self.places[number]] for number in kept),
            shares=tuple(tuple(shares[number] for number in kept) for shares in self.shares),
        )

    def telling(self, ownership: Ownership) -> Told:
        """Context of this rank's passes: where they fail, the ranks that wait for their gradients hear of it."""
        return Told(lambda error: self.roster.agree([], [], ownership, error=error))

    def described(self, plan: Plan) -> Plan:
        """The plan of this rank's passes with the way in which the ranks' gradients are merged."""
        how = {
            "rows": "rows summed on all ranks" if self.whole else "columns of the rows scattered",
            "layer": "columns of the layer's rows scattered",
            "features": "products at the features added",
            "sketch": "sketches added",
        }[self.kind]
        then = "" if self.kind == "rows" and not self.averages else "; DDP's reducer averages the gradients"
        return replace(plan, ranks=self.wire.size, merged=how + then)
