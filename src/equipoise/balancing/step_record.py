"""What one training step was like."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..core.tasks import Tasks
from ..diagnostics import GradientDiagnosis, diagnose_gradients
from ..solve import Status

if TYPE_CHECKING:
    from ..methods.run import Directed, Weighed

__all__ = ["StepRecord"]


@dataclass(frozen=True, eq=False)
class StepRecord:
    """One step, kept as tensors where they were computed: reading them is what waits for the device.

    Attributes:
        present: Which tasks took part.
        raw_losses: (k,) of those, float64.
        outcome: What the method returned.
        gramian: (k, k) of the shared gradients, float64; None for loss methods.
        seconds: Wall time inside the Balancer, without the user's backward.
        groups: With ``granularity=``: names of the groups that the rows of the weights belong to.
        reused: Whether the weights are those of an earlier step (``gradients=eq.Every(n)``).
    """

    present: Tasks
    raw_losses: Tensor | None
    outcome: "Weighed | Directed"
    gramian: Tensor | None
    seconds: float
    groups: tuple[str, ...] = ()
    reused: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks present in the step; rows of everything here."""
        return self.present.here

    @property
    def losses(self) -> dict[str, float]:
        """Unweighted losses by task name."""
        numbers = [] if self.raw_losses is None else self.raw_losses.tolist()
        return dict(zip(self.tasks, numbers, strict=True))

    @property
    def weights(self) -> Tensor | None:
        """(k,): direction = weights @ jacobian. With ``granularity=`` (groups, k): one row for each of `groups`.

        None for methods on the Jacobian (GradDrop, MoCo, ...): they return a direction, and there are no such weights.
        """
        return self.outcome.weights

    @property
    def status(self) -> Status:
        """What became of the solve."""
        return self.outcome.status

    @property
    def certificate(self) -> float:
        """Relative residual of the solve."""
        return self.outcome.certificate

    @property
    def left_out(self) -> tuple[str, ...]:
        """Tasks whose gradient was exactly zero."""
        return tuple(self.tasks[i] for i in self.outcome.left_out)

    @property
    def diagnosis(self) -> GradientDiagnosis | None:
        """What `diagnose_gradients` says of this step's Gramian and losses; computed when read. None for loss methods.

        Shares of the update need weights: ``eq.diagnose_gradients(last.gramian, last.raw_losses, last.weights)``. There
        are none where `weights` is None.
        """
        if self.gramian is None:
            return None
        return diagnose_gradients(self.gramian.cpu(), None if self.raw_losses is None else self.raw_losses.cpu())

    @property
    def cosines(self) -> Tensor | None:
        """(k, k) cosines between the tasks' gradients; NaN where a gradient is zero. None for loss methods."""
        if self.gramian is None:
            return None
        norms = self.gramian.diagonal().sqrt()
        return self.gramian / norms[:, None] / norms[None, :]
