r"""Tasks that own their rows of the batch: exact products from a single pass.

Where the trunk treats each row by itself and every row of the features gets a gradient from one task at most, the sum
of the tasks' gradients goes back in one pass without their mixing. For a linear layer with inputs A and the pass's
output gradients D (N rows each),

.. math:: G_{st} = \sum_{i \in s,\, j \in t} (A A^\top)_{ij} (D D^\top)_{ij} ,

and the weighted gradient is :math:`A^\top \mathrm{diag}(w_{\mathrm{owner}}) D`. Neither depends on the number of tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .jacobian import Jacobian
from .rowwise import NormSite, RowwiseTrunk

__all__ = ["SeparableRows", "collect", "owners_of_rows"]

_BAND = 64  # rows of the product matrices formed at a time


@dataclass(frozen=True, eq=False)
class SeparableRows:
    """Per-task gradients of one linear layer's weight, each from rows of its own.

    Attributes:
        parameter: The weight.
        inputs: (N, d_in).
        delta: (N, d_out), of all tasks at once.
        owner: (N,), the task of each row; -1 for rows of none.
        count: k.
        transposed: The weight is kept as (d_out, d_in).
    """

    parameter: Tensor
    inputs: Tensor
    delta: Tensor
    owner: Tensor
    count: int
    transposed: bool

    @property
    def parameters(self) -> list[Tensor]:
        """The weight alone."""
        return [self.parameter]

    def gramian(self) -> Tensor:
        """(k, k) inner products of the weight gradients, float64 throughout.

        Cost: .6 N² (d_in + d_out) multiply-adds where rows are few, else one weight gradient and k² d_in d_out; the
        cheaper is taken.
        """
        by_rows, by_task = self._ways()
        if by_rows > by_task:
            return Jacobian([self.parameter], [[self.row(task)] for task in range(self.count)]).gramian()
        rows, inputs, delta = len(self.inputs), self.inputs.double(), self.delta.double()
        member = (self.owner[:, None] == torch.arange(self.count, device=self.owner.device)).double()
        lower = torch.zeros(self.count, self.count, dtype=torch.float64, device=inputs.device)
        diagonal = torch.zeros_like(lower)
        for start in range(0, rows, _BAND):
            band = slice(start, min(start + _BAND, rows))
            diagonal += (
                member[band].T @ ((inputs[band] @ inputs[band].T) * (delta[band] @ delta[band].T)) @ member[band]
            )
            if start:
                before = slice(0, start)
                mixed = (inputs[band] @ inputs[before].T) * (delta[band] @ delta[before].T)
                lower += member[band].T @ (mixed @ member[before])
        return diagonal + lower + lower.T

    def multiplications(self) -> float:
        """Of `gramian`, a float64 product counted twice."""
        return min(self._ways())

    def _ways(self) -> tuple[float, float]:
        rows, fan_in, fan_out = len(self.inputs), self.inputs.shape[1], self.delta.shape[1]
        by_rows = 2 * 0.6 * rows**2 * (fan_in + fan_out)
        return by_rows, (rows + 2 * self.count**2) * float(fan_in * fan_out)

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """The weighted weight gradient, from one product."""
        wide = torch.promote_types(self.delta.dtype, torch.float32)
        scaled = self.delta.to(wide) * _by_row(weights, self.owner).to(wide)
        return [self._product(self.inputs.to(wide), scaled).to(self.parameter.dtype)]

    def row(self, task: int) -> Tensor:
        """One task's weight gradient, formed."""
        mine = torch.nonzero(self.owner == task).ravel()
        return self._product(self.inputs[mine], self.delta[mine])

    def only(self, rows: Sequence[int]) -> "SeparableRows":
        """Some of the tasks."""
        place = torch.full((self.count + 1,), -1, dtype=torch.int64, device=self.owner.device)
        place[torch.tensor(list(rows), device=place.device)] = torch.arange(len(rows), device=place.device)
        return SeparableRows(
            self.parameter, self.inputs, self.delta, place[self.owner], len(rows), self.transposed
        )  # owner -1 looks at the last place, which stays -1

    def of(self, parameters: Sequence[Tensor]) -> "SeparableRows":
        """The same: there is but one parameter."""
        assert len(parameters) == 1
        return self

    def nonfinite(self, row: int) -> tuple[Tensor, int, int] | None:
        """Where a task's gradient holds NaN or inf."""
        count = int((~torch.isfinite(self.row(row))).sum())
        return (self.parameter, count, self.parameter.numel()) if count else None

    def _product(self, inputs: Tensor, delta: Tensor) -> Tensor:
        return delta.T @ inputs if self.transposed else inputs.T @ delta


def owners_of_rows(at_features: Sequence[Sequence[Tensor | None]]) -> Tensor | None:
    """Which task each row of the batch belongs to.

    Args:
        at_features: For each task its gradients at the features (first axis: the batch); None stands for zero.

    Returns:
        (B,) task numbers, -1 for rows without gradient; None where two tasks have a gradient at the same row. Exact
        zeros decide. With tasks that share rows, two of them are looked at and no more.
    """
    owner: Tensor | None = None
    for task, gradients in enumerate(at_features):
        for gradient in gradients:
            if gradient is None:
                continue
            flat = gradient.detach().reshape(len(gradient), -1)
            if (
                task == 1 and owner is not None and _meet(flat[:, :8], owner, task)
            ):  # most batches are shared: seen here
                return None
            touched = flat.abs().amax(dim=1).ne(0)
            if owner is None:
                owner = torch.full((len(gradient),), -1, dtype=torch.int64, device=gradient.device)
            if _meet(flat, owner, task):
                return None
            owner = torch.where(touched, task, owner)
    return owner


def _meet(gradient: Tensor, owner: Tensor, task: int) -> bool:
    """Whether a row that another task owns has a gradient."""
    return bool(gradient[(owner >= 0) & (owner != task)].any())


def collect(
    trunk: RowwiseTrunk,
    features: Sequence[Tensor],
    at_features: Sequence[Sequence[Tensor | None]],
    owner: Tensor,
    retain_graph: bool,
) -> tuple[list[SeparableRows], Jacobian | None]:
    """One pass with all tasks' gradients, and what each parameter makes of it.

    Args:
        trunk: As `rowwise` read it.
        features: Between trunk and heads.
        at_features: For each task its gradients there.
        owner: As `owners_of_rows` found it.
        retain_graph: Whether the trunk's graph is needed afterwards.

    Returns:
        The linear weights, and the Jacobian of all other parameters (biases, scales, shifts: small), if there are any.
    """
    k = len(at_features)
    inputs = {site: site.inputs() for site in trunk.weights}
    normalised = {norm: norm.normalised() for norm in trunk.norms if norm.scale is not None}
    sums = [_sum_of([gradients[number] for gradients in at_features]) for number in range(len(features))]
    used = [(feature, total) for feature, total in zip(features, sums, strict=True) if total is not None]
    edges = [*(site.edge for site in trunk.weights), *(norm.edge for norm in trunk.norms)]
    found = torch.autograd.grad(
        [feature for feature, _ in used],
        edges,
        [total for _, total in used],
        retain_graph=retain_graph,
        allow_unused=True,
    )
    weights, small = [], list[tuple[Tensor, Tensor]]()
    deltas = dict(zip(trunk.weights, found, strict=False))
    for site, delta in deltas.items():
        if delta is not None:
            spread = owner.repeat_interleave(site.rows // len(owner))
            weights.append(SeparableRows(site.parameter, inputs[site], delta, spread, k, site.transposed))
    for bias, site in trunk.biases:
        if deltas[site] is not None:
            small.append((bias, _by_task(deltas[site], owner, k)))
    for norm, delta in zip(trunk.norms, found[len(trunk.weights) :], strict=True):
        if delta is not None:
            small += _of_norm(norm, delta, normalised.get(norm), owner, k)
    if not small:
        return weights, None
    return weights, Jacobian([leaf for leaf, _ in small], [[rows[task] for _, rows in small] for task in range(k)])


def _of_norm(
    norm: NormSite, delta: Tensor, normalised: Tensor | None, owner: Tensor, k: int
) -> list[tuple[Tensor, Tensor]]:
    found = []
    for leaf, factor in ((norm.scale, normalised), (norm.shift, None)):
        if leaf is not None:
            flat = delta.reshape(-1, leaf.numel())
            rows = _by_task(flat if factor is None else flat * factor, owner, k)
            found.append((leaf, rows.reshape(k, *leaf.shape)))
    return found


def _by_task(delta: Tensor, owner: Tensor, k: int) -> Tensor:
    """(k, d): the sum of each task's rows."""
    spread = owner.repeat_interleave(len(delta) // len(owner))
    out = torch.zeros(k + 1, delta.shape[1], dtype=torch.float64, device=delta.device)
    out.index_add_(0, torch.where(spread < 0, k, spread), delta.double())
    return out[:k].to(delta.dtype)


def _by_row(weights: Tensor, owner: Tensor) -> Tensor:
    """(N, 1): the weight of each row's task, 0 for rows of none."""
    padded = torch.cat([weights.to(owner.device), torch.zeros(1, dtype=weights.dtype, device=owner.device)])
    return padded[owner][:, None]


def _sum_of(gradients: Sequence[Tensor | None]) -> Tensor | None:
    present = [gradient for gradient in gradients if gradient is not None]
    if not present:
        return None
    total = present[0].clone()
    for gradient in present[1:]:
        total += gradient
    return total
