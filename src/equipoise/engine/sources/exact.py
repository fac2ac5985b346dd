"""Exact gradients, by the cheapest engine for the graph."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from ...errors import SettingError
from ...methods.base import Method
from ..blocks.task_gradients import Gradients
from ..cost.sizes import size_of
from ..graph.ownership import Ownership
from ..passes.exact import differentiate
from .mode import Mode, Request

__all__ = ["Exact"]


@dataclass(frozen=True)
class Exact(Mode):
    """The default: the exact Gramian, computed in the cheapest exact way that the engine finds (`Balancer.plan`).

    Args:
        products: Precision of the inner products. ``"certified"``: float64 where that costs little beside the passes
            (few rows for the layers' width; entries of G are then accurate to 1e-13). Elsewhere gradients of float32
            layers may be multiplied in float32 if an estimate of the error, compared with the Gramian's smallest
            eigenvalue, shows that weights stay accurate to about 1e-5 (entries to 1e-8 to 1e-7, the accuracy of the
            gradients themselves); if not, they are multiplied again in float64, and `Balancer.counts` counts it.
            ``"float64"``: always float64, entries to 1e-13; a linear layer's products then cost about twice as much.

    Example:
        >>> Exact(), Exact(products="float64")
        (Exact(), Exact(products='float64'))
    """

    products: Literal["certified", "float64"] = "certified"
    accumulates: ClassVar[str] = "gradients"
    single: ClassVar[bool] = False
    straight: ClassVar[bool] = True
    looks_for_room: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.products not in ("certified", "float64"):
            raise SettingError(f"`products` must be 'certified' or 'float64'; got {self.products!r}.")

    def __repr__(self) -> str:
        return "Exact()" if self.products == "certified" else f"Exact(products={self.products!r})"

    def refused_by(self, method: Method) -> str:
        """Every method can use exact gradients."""
        del method
        return ""

    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of every shared gradient k times and every other gradient once.

        Example:
            >>> import torch
            >>> weights = [torch.zeros(10, 100, requires_grad=True)]
            >>> ownership = Ownership()
            >>> ownership.meet(weights, complete=True)
            >>> Exact().estimate(5, weights, ownership)
            20000
        """
        own = size_of([leaf for leaf in leaves if not ownership.may_be_shared(leaf)])
        return k * (size_of(leaves) - own) + own

    def compute(self, request: Request) -> Gradients:
        """The exact gradients, see `differentiate`."""
        found = differentiate(
            request.losses,
            request.tasks.present,
            request.tools.ownership,
            features=request.features,
            complete=request.complete,
            retain_graph=request.keep,
            jacobian=request.jacobian,
            memory=None if request.limit is None else int(min(request.limit, sys.maxsize)),
            graph=request.graph,
            announce=request.announced,
        )
        return found if self.products == "certified" else replace(found, certified=False)
