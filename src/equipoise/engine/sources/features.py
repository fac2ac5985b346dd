"""Weights from the gradients at the features; the trunk gets one backward pass, for the mixture."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ...errors import EquipoiseWarning, SettingError
from ..blocks.dense import Jacobian
from ..blocks.factored import FactoredRows, Factors
from ..blocks.products import can_be_trusted
from ..blocks.task_gradients import Gradients, Handout
from ..cost.plan import Plan
from ..cost.sizes import size_of
from ..graph.hooks import tensor_hooks_off
from ..graph.ownership import Ownership
from ..passes.heads import feature_gradients
from ..passes.recipe import Recipe
from ..passes.recipe_writing import write_feature_recipe
from .mode import Mode, Request

__all__ = ["FeatureRows", "Features"]


_APPROXIMATE = "APPROXIMATION: weights from the gradients at the features, an upper bound"
_DEFINED = "the method is defined on gradients at the features"


@dataclass(frozen=True)
class Features(Mode):
    r"""APPROXIMATION: weights from the gradients at the shared features, kept per sample.

    .. math:: (G_Z)_{ij} = \langle \nabla_Z L_i, \nabla_Z L_j \rangle \text{ in place of } \langle g_i, g_j \rangle,
              \qquad d = \sum_i a_i g_i

    The weights are the method's answer to another matrix; what the method guarantees for the parameters' gradients
    (descent, equal projections) is not inherited. With the MGDA method this is MGDA-UB.

    Error:
        Cosine between its direction and the exact one, min-norm weights, 10 to 40 tasks: 0.55 to 0.99; the arm's 7
        joints on an MLP 3 x 512: 0.85 (MGDA), 0.96 (CAGrad). `equipoise.profile` measures it on your model.
    Needs:
        ``balancer(losses, features=...)``, with every shared parameter behind the features.

    Warns:
        `EquipoiseWarning` where no two tasks share a sample: G_Z is then diagonal whatever the trunk does.
    Cost:
        One pass through the heads for each task and a single one through the trunk: about one plain step.
    Source:
        Sener & Koltun (2018), arXiv:1810.04650, section 3.3.

    Example:
        >>> Features()
        Features()
    """

    straight: ClassVar[bool] = True
    merges: ClassVar[Literal["rows", "layer", "features", "sketch"]] = "features"

    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of every feature tensor k times and every gradient once."""
        return k * size_of(features) + size_of(leaves)

    def plan(self, request: Request) -> Plan:
        """One pass through each head, and one of the mixture through the trunk."""
        leaves = request.leaves()
        memory = self.estimate(len(request.losses), leaves, request.tools.ownership, request.features)
        reason = _DEFINED if request.method.needs == "features" else _APPROXIMATE
        return Plan("features", reason, 1, 1.0, memory - size_of(leaves))

    def write(self, request: Request) -> Recipe | None:
        """A recipe that runs all heads in one call, for a trunk of any size."""
        if not request.features:
            return None
        ownership, plan = request.tools.ownership, self.plan(request)
        recipe = write_feature_recipe(request.losses, request.features, request.graph, ownership, plan)
        return None if recipe is None else FeatureRecipe(**vars(recipe))

    def compute(self, request: Request) -> Gradients:
        """Gradients at the features, per sample.

        Raises:
            SettingError: No features were given.
            InputError: A shared parameter does not lie behind them.
        """
        features, ownership = request.features, request.tools.ownership
        if not features:
            who = repr(request.method) if request.method.needs == "features" else repr(self)
            raise SettingError(f"{who} works on representation gradients: call balancer(losses, features=...).")
        plan = request.foreseen(self)
        at, own, behind = feature_gradients(
            request.losses, features, ownership, complete=request.complete, graph=request.graph
        )
        trunk = [leaf for leaf in behind if ownership.is_parameter(leaf)]
        inputs = [leaf for leaf in behind if not ownership.is_parameter(leaf)]
        rows = FeatureRows(features, at, trunk, request.keep, warns=plan.reason == _APPROXIMATE)
        reached = [*behind, *(leaf for leaf, _ in own)]
        later = (lambda weights, numbers: rows.only(numbers).mixture_at(inputs, weights)) if inputs else None
        return Gradients([rows], own, plan, len(request.losses), by_pass=True, reached=reached, at_inputs=later)


@dataclass(frozen=True, eq=False)
class FeatureRecipe(Recipe):
    """Stored way to compute the gradients at the features of one graph."""

    def run(self, losses: Sequence[Tensor], nodes: Sequence[Any], features: Sequence[Tensor], keep: bool) -> Gradients:
        """Gradients at the features, from one call to autograd."""
        columns, factors, own, packed = self.heads(losses, nodes, True)
        owner = torch.tensor([row for row, column in enumerate(columns) for _ in range(column.shape[1])])
        sent = Factors(torch.cat(columns, dim=1), torch.cat([factor.T for factor in factors]), owner)
        trunk = [nodes[place].variable for place in self.shared]
        at = FactoredRows(features, [sent], len(losses))
        rows = FeatureRows(features, at, trunk, keep, warns=self.plan.reason == _APPROXIMATE)
        reached = [*trunk, *[leaf for leaf, _ in own]]
        return Gradients([rows], own, self.plan, len(losses), by_pass=True, reached=reached, packed=packed)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Gradients at the features, for the trunk's parameters.

    Attributes:
        features: Tensors between trunk and heads.
        at_features: Gradients of the k losses at the features, per sample.
        parameters: Parameters of the trunk.
        keep: Whether the trunk's graph is needed after `combine`.
        warns: Whether to warn where no two tasks share a sample.
    """

    features: Sequence[Tensor]
    at_features: Jacobian | FactoredRows
    parameters: Sequence[Tensor]
    keep: bool
    warns: bool = False

    def gramian(self) -> Tensor:
        """(k, k) inner products of the gradients at the features, float64."""
        gramian = self._products[0]
        if self.warns:
            _warn_of_no_common_sample(gramian)
        return gramian

    @property
    def again(self) -> bool:
        """Whether the products were computed twice."""
        return self._products[1]

    @cached_property
    def _products(self) -> tuple[Tensor, bool]:
        """The Gramian, and whether it was computed twice.

        These gradients are an approximation, so float32 products suffice, unless the matrix is so ill-conditioned that
        weights would be dominated by rounding (`can_be_trusted`); they are then computed again in float64.
        """
        if isinstance(self.at_features, FactoredRows):  # in float64 at no cost
            return self.at_features.gramian(), False
        if all(feature.dtype == torch.float32 for feature in self.features):
            found = self.at_features.gramian(torch.float32)
            if can_be_trusted(found, [torch.full((len(found),), 2 * torch.finfo(torch.float32).eps)]):
                return found, False
            return self.at_features.gramian(), True
        return self.at_features.gramian(), False

    def combine(self, weights: Tensor) -> list[Tensor | None]:
        """One backward pass of the mixture through the trunk."""
        return self._pass(self.parameters, weights, self.keep)

    def mixture_at(self, leaves: Sequence[Tensor], weights: Tensor) -> Handout:
        """Gradients of the mixture at other leaves behind the features, by a further pass; the graph is kept."""
        pairs = zip(leaves, self._pass(leaves, weights, True), strict=True)
        return [(leaf, block) for leaf, block in pairs if block is not None]

    def _pass(self, leaves: Sequence[Tensor], weights: Tensor, keep: bool) -> list[Tensor | None]:
        mixed = zip(self.features, self.at_features.combine(weights), strict=True)
        used = [(feature, block) for feature, block in mixed if block is not None]
        if not used:
            return [None] * len(leaves)
        outputs, upstream = zip(*used, strict=True)
        with tensor_hooks_off(leaves):
            return list(torch.autograd.grad(outputs, leaves, upstream, retain_graph=keep, allow_unused=True))

    def only(self, rows: Sequence[int]) -> "FeatureRows":
        """Some of the rows."""
        return replace(self, at_features=self.at_features.only(rows))

    def of(self, parameters: Sequence[Tensor]) -> "FeatureRows":
        """Not possible, as the rows stand for all parameters; settings that need it are refused earlier."""
        raise NotImplementedError

    def nonfinite(self, row: int) -> tuple[str, int, int] | None:
        """The first feature tensor at which a row holds NaN or inf, the count of such values, and its size."""
        spot = self.at_features.nonfinite(row)
        if spot is None:
            return None
        feature, count, size = spot
        number = next(n for n, other in enumerate(self.features) if other is feature)
        return f"values at features number {number}", count, size


def _warn_of_no_common_sample(gramian: Tensor) -> None:
    """Warns where the Gramian of feature gradients is diagonal: no two tasks share a sample."""
    if len(gramian) > 1 and not bool((gramian - gramian.diagonal().diag()).any()):
        warnings.warn(
            "gradients=eq.Features() compares gradients at the features sample by sample, and no two of these tasks "
            "share a sample: the Gramian is diagonal, so the weights depend on the norms alone. Use "
            "gradients=eq.Exact().",
            EquipoiseWarning,
            stacklevel=2,
        )
