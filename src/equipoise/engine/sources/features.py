"""Weights from the gradients at the features."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import EquipoiseWarning
from ..blocks.dense import Jacobian
from ..blocks.factored import FactoredRows
from ..blocks.rounding import can_be_trusted
from ..blocks.targets import Targets
from ..graph.autograd_graph import Graph, tensor_hooks_off
from ..graph.ownership import Ownership
from ..passes.exact import Own, Plan, feature_gradients

__all__ = ["FeatureSource", "at_features", "warn_of_no_common_sample"]


@dataclass(frozen=True, eq=False)
class FeatureSource:
    """Gradients at the features; those of the trunk are computed once, for the mixture.

    Attributes:
        features: Tensors between trunk and heads.
        at_features: Their Jacobian, per sample.
        trunk: Parameters behind the features.
        own: The heads' gradients.
        plan: How.
        retain_graph: Whether the trunk's graph is needed after `combine`.
    """

    features: Sequence[Tensor]
    at_features: Jacobian | FactoredRows
    trunk: Sequence[Tensor]
    own: Own
    plan: Plan
    retain_graph: bool

    def gramian(self) -> Tensor:
        """(k, k) inner products of the gradients at the features, float64."""
        return self.products()[0]

    def products(self) -> tuple[Tensor, bool]:
        """The Gramian, and whether it was made twice.

        The gradients stand in for others, so products in float32 will do, unless so badly conditioned a matrix comes of
        them that weights would be rounding (`can_be_trusted`); then they are made again in float64.
        """
        if isinstance(self.at_features, FactoredRows):  # in float64 at no cost
            return self.at_features.gramian(), False
        if all(feature.dtype == torch.float32 for feature in self.features):
            found = self.at_features.gramian(torch.float32)
            if can_be_trusted(found, [torch.full((len(found),), 2 * torch.finfo(torch.float32).eps)]):
                return found, False
            return self.at_features.gramian(), True
        return self.at_features.gramian(), False

    def combine(self, weights: Tensor) -> Targets:
        """One backward pass of the mixture through the trunk."""
        mixed = zip(self.features, self.at_features.combine(weights), strict=True)
        used = [(feature, block) for feature, block in mixed if block is not None]
        if not used:
            return []
        with tensor_hooks_off(self.trunk):
            found = torch.autograd.grad(
                [feature for feature, _ in used],
                list(self.trunk),
                [block for _, block in used],
                retain_graph=self.retain_graph,
                allow_unused=True,
            )
        return [(leaf, gradient) for leaf, gradient in zip(self.trunk, found, strict=True) if gradient is not None]

    def only(self, rows: Sequence[int]) -> "FeatureSource":
        """What some of the rows alone would have given."""
        own = only_own(self.own, rows)
        return FeatureSource(self.features, self.at_features.only(rows), self.trunk, own, self.plan, self.retain_graph)

    def parameters(self) -> list[Tensor]:
        """Every parameter that some task reaches."""
        return [*self.trunk, *(leaf for leaf, _ in self.own)]

    def first_nonfinite(self, row: int, ownership: Ownership) -> str:
        """Where the gradient of one task first holds NaN or inf."""
        del ownership
        spot = self.at_features.nonfinite(row)
        if spot is None:
            return "the products of gradients overflow float64"
        feature, count, size = spot
        number = next(n for n, other in enumerate(self.features) if other is feature)
        return f"{count} of {size} values at features number {number}"


def at_features(
    losses: Sequence[Tensor],
    features: Sequence[Tensor],
    ownership: Ownership,
    *,
    complete: bool,
    retain_graph: bool,
    graph: Graph | None = None,
) -> FeatureSource:
    """Gradients at the features.

    Args:
        losses: Scalars of the present tasks.
        features: Tensors between trunk and heads.
        ownership: Gives names.
        complete: Whether all tasks are present.
        retain_graph: Whether the graph is needed afterwards.
        graph: That of the losses, where it was read already.

    Raises:
        InputError: A shared parameter does not lie behind the features.
    """
    jacobian, own, trunk = feature_gradients(losses, features, ownership, complete=complete, graph=graph)
    plan = Plan("features", "APPROXIMATION: weights from the gradients at the features, an upper bound", 1)
    return FeatureSource(features, jacobian, trunk, own, plan, retain_graph)


def only_own(own: Own, rows: Sequence[int]) -> Own:
    """`Own` with only some of the rows, renumbered."""
    place = {row: number for number, row in enumerate(rows)}
    kept = [(leaf, [(place[n], gradient) for n, gradient in found if n in place]) for leaf, found in own]
    return [(leaf, found) for leaf, found in kept if found]


def warn_of_no_common_sample(gramian: Tensor) -> None:
    """Warns where the Gramian of feature gradients is diagonal: no two tasks share a sample."""
    if len(gramian) > 1 and not bool((gramian - gramian.diagonal().diag()).any()):
        warnings.warn(
            "gradients=eq.Features() compares gradients at the features sample by sample, and no two of these tasks "
            "share a sample: the Gramian is diagonal, so the weights depend on the norms alone. Use "
            "gradients=eq.Exact().",
            EquipoiseWarning,
            stacklevel=2,
        )
