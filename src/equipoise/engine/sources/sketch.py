"""Random projections of gradients by folding: k * s numbers in place of k * n."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..graph.autograd_graph import leaves_behind, tensor_hooks_off
from ..graph.ownership import Ownership
from ..passes.exact import Own, Plan
from .features import only_own

__all__ = ["Signs", "Sketched", "fold", "name_bucket", "sketched"]


@dataclass(eq=False)
class Signs:
    """Random signs, one byte a parameter, drawn once from the seed and the parameter's name.

    Attributes:
        seed: Of all of them.
        drawn: Name -> signs; a cache, not a state: the same seed and name give the same signs.
    """

    seed: int
    drawn: dict[str, Tensor] = field(default_factory=dict)

    def of(self, name: str, parameter: Tensor) -> Tensor:
        """Signs for a parameter: flat, int8, on its device."""
        signs = self.drawn.get(name)
        if signs is None or signs.numel() != parameter.numel() or signs.device != parameter.device:
            generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
            signs = torch.empty(parameter.numel(), dtype=torch.int8).random_(0, 2, generator=generator)
            signs = signs.mul_(2).sub_(1).to(parameter.device)
            self.drawn[name] = signs
        return signs


def fold(values: Tensor, signs: Tensor, s: int, first: int = 0) -> Tensor:
    """The CountSketch of a vector with bucket = (first + index) modulo s.

    Args:
        values: Any shape.
        signs: One a value.
        s: Number of buckets.
        first: Bucket of the first value.

    Returns:
        (s,), float64; the folded sums themselves are taken in the values' type, float32 at least.

    Example:
        >>> fold(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1, -1, -1]), 2)
        tensor([-2., -2.], dtype=torch.float64)
    """
    flat = values.reshape(-1)
    signed = flat.to(torch.promote_types(flat.dtype, torch.float32)) * signs
    whole = len(signed) // s * s
    folded = signed[:whole].view(-1, s).sum(dim=0) if whole else signed.new_zeros(s)
    folded[: len(signed) - whole] += signed[whole:]
    return torch.roll(folded.double(), first % s)


def name_bucket(name: str) -> int:
    """The bucket of a parameter's first value, modulo s: small parameters do not all begin at the same one."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True, eq=False)
class Sketched:
    """Sketches of the shared gradients, and the heads' gradients as they are.

    Attributes:
        rows: (k, s), float64.
        own: The heads' gradients.
        reached: Every parameter that some task reaches.
        plan: How.
    """

    rows: Tensor
    own: Own
    reached: list[Tensor]
    plan: Plan

    def gramian(self) -> Tensor:
        """(k, k) inner products of the sketches, float64, positive semidefinite."""
        return self.rows @ self.rows.T

    def combine(self, weights: Tensor) -> None:
        """Nothing is stored: the losses' own graph gives the direction."""
        del weights

    def only(self, rows: Sequence[int]) -> "Sketched":
        """What some of the rows alone would have given."""
        return Sketched(self.rows[list(rows)], only_own(self.own, rows), self.reached, self.plan)

    def parameters(self) -> list[Tensor]:
        """Every parameter that some task reaches."""
        return self.reached

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task holds NaN or inf: a sketch does not tell the parameter."""
        del ownership
        bad = int((~torch.isfinite(self.rows[row])).sum())
        return f"{bad} of {self.rows.shape[1]} numbers of the sketch are not finite"


def sketched(
    losses: Sequence[Tensor], tasks: Sequence[int], ownership: Ownership, signs: Signs, s: int, *, complete: bool
) -> Sketched:
    """One pass a loss; each gradient is folded and dropped. The graph is kept for the weighted backward.

    A gradient on a parameter that no second task has reached is kept as it is, until one does.

    Args:
        losses: Scalars of the present tasks.
        tasks: Their task numbers.
        ownership: Decides what is shared; is told what came back.
        signs: Of the sketch.
        s: Numbers kept a task.
        complete: Whether all tasks are present.
    """
    leaves = leaves_behind(losses)
    ownership.meet(leaves, complete=complete)
    device = losses[0].device
    rows = torch.zeros(len(losses), s, dtype=torch.float64, device=device)
    held: dict[int, list[tuple[int, Tensor]]] = {}
    with tensor_hooks_off(leaves):
        for number, loss in enumerate(losses):
            found = torch.autograd.grad(loss, leaves, torch.ones_like(loss), retain_graph=True, allow_unused=True)
            for leaf, gradient in zip(leaves, found, strict=True):
                if gradient is None:
                    continue
                waiting = held.setdefault(id(leaf), [])
                waiting.append((number, gradient))
                ownership.reach(leaf, [(tasks[number], gradient)])
                if not ownership.is_shared(leaf):
                    continue
                name = ownership.name(leaf)
                for row, values in waiting:
                    dense = values.to_dense() if values.is_sparse else values
                    rows[row] += fold(dense, signs.of(name, leaf), s, name_bucket(name)).to(device)
                waiting.clear()
    own = [(leaf, held[id(leaf)]) for leaf in leaves if held.get(id(leaf))]
    reached = [leaf for leaf in leaves if id(leaf) in held]
    reason = f"APPROXIMATION: gradients folded to {s} numbers a task; G is off by about {(2 / s) ** 0.5:.1%}"
    return Sketched(rows, own, reached, Plan("sketch", reason, len(losses)))
