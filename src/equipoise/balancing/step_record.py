"""The record of one training step."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..core.tasks import Tasks
from ..diagnostics import GradientDiagnosis, diagnose_gradients
from ..solve import Status

if TYPE_CHECKING:
    from ..methods.run import Outcome, Weighed

__all__ = ["StepRecord"]


_MOST_ROWS = 20
"""Tasks that a printed step shows."""


@dataclass(frozen=True, eq=False, repr=False)
class StepRecord:
    """One training step, kept as tensors on the device where they were computed: only reading them waits for it.

    ``print`` shows a table of the tasks: loss, weight, the gradient's norm on the shared parameters (in loss per unit
    of parameter), and its cosine with the direction, which is negative where the step raises the loss to first order.
    With ``granularity=`` the weight is the mean over groups and has no cosine beside it.

    Example:
        >>> import torch, equipoise as eq
        >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> balancer = eq.Balancer(eq.LinearScalarization(), tasks=("depth", "normals"))
        >>> loss = balancer({"depth": w.sum(), "normals": w.square().sum()})
        >>> print(str(balancer.last).split(", ")[0])  # and the seconds, and the table:
        2 of 2 tasks
        >>> print(str(balancer.last).partition(chr(10))[2])
        task     loss  weight
        depth       3     0.5
        normals     5     0.5

    Attributes:
        present: All task names, and which of them took part.
        raw_losses: (k,) losses of the tasks that took part, float64.
        outcome: Outcome of the method: weights or a direction, with its status.
        gramian: (k, k) inner products of the shared gradients, float64; None where none were computed (loss methods,
            reused weights).
        seconds: Wall time inside the Balancer, without the user's backward.
        groups: Names of the groups that the rows of the weights belong to, with ``granularity=``.
        reused: Whether the weights are those of an earlier step (``gradients=eq.Every(n)``).
    """

    present: Tasks
    raw_losses: Tensor | None
    outcome: "Weighed | Outcome"
    gramian: Tensor | None
    seconds: float
    groups: tuple[str, ...] = ()
    reused: bool = False

    def __str__(self) -> str:
        title = f"{len(self.tasks)} of {len(self.present.names)} tasks, {self.seconds * 1e3:.3g} ms: {self.status}"
        title += f" (certificate {self.certificate:.2g})" if self.certificate else ""
        title += "; weights of an earlier step" if self.reused else ""
        title += f"; weights are means over {len(self.groups)} groups" if self.groups else ""
        columns = self._columns()
        shown = min(len(self.tasks), _MOST_ROWS)
        rows = [tuple(columns)] + [tuple(column[i] for column in columns.values()) for i in range(shown)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
        lines = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        more = len(self.tasks) - shown
        return "\n".join([title, *lines, *([f"... and {more} more tasks"] if more else [])])

    __repr__ = __str__

    def _columns(self) -> dict[str, list[str]]:
        """Heading -> one cell per task."""
        numbers: dict[str, Tensor] = {}
        if self.raw_losses is not None:
            numbers["loss"] = self.raw_losses
        weights = self.weights
        if weights is not None:
            numbers["weight"] = weights.mean(dim=0) if weights.dim() > 1 and len(weights) else weights
        if self.gramian is not None:
            gramian = self.gramian.cpu()
            lengths = gramian.diagonal().sqrt()
            numbers["gradient"] = lengths
            if weights is not None and weights.dim() == 1:
                along = gramian @ weights.detach().cpu()
                numbers["cosine"] = along / (lengths * (weights.detach().cpu() @ along).clamp(min=0).sqrt())
        columns = {"task": [name if name.isprintable() else repr(name) for name in self.tasks]}
        for heading, values in numbers.items():
            undefined = heading == "cosine"  # of a gradient of zero
            columns[heading] = ["-" if undefined and math.isnan(v) else f"{v:.4g}" for v in values.tolist()]
        return columns

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks present in the step, in the order of all rows."""
        return self.present.here

    @property
    def losses(self) -> dict[str, float]:
        """Unweighted losses by task name."""
        numbers = [] if self.raw_losses is None else self.raw_losses.tolist()
        return dict(zip(self.tasks, numbers, strict=True))

    @property
    def weights(self) -> Tensor | None:
        """(k,) weights: direction = weights @ jacobian. With ``granularity=`` (groups, k), one row per group.

        None for methods on the Jacobian (GradDrop, MoCo, ...): they return a direction instead.
        """
        return self.outcome.weights

    @property
    def status(self) -> Status:
        """Status of the method's solve."""
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
        """`diagnose_gradients` of this step's Gramian and losses, computed when read; None without a Gramian.

        Shares of the update need weights: ``eq.diagnose_gradients(last.gramian, last.raw_losses, last.weights)``. There
        are none where `weights` is None.
        """
        if self.gramian is None:
            return None
        return diagnose_gradients(self.gramian.cpu(), None if self.raw_losses is None else self.raw_losses.cpu())

    @property
    def cosines(self) -> Tensor | None:
        """(k, k) cosines between the tasks' gradients; NaN where a gradient is zero. None without a Gramian."""
        if self.gramian is None:
            return None
        norms = self.gramian.diagonal().sqrt()
        return self.gramian / norms[:, None] / norms[None, :]
