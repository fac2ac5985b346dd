"""What a step will cost, worked out and said before its passes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ...methods.base import JacobianMethod, Method
from ..graph.autograd_graph import Graph, leaves_behind, read_graph
from ..graph.ownership import Ownership
from ..modes import Features, LastLayer, Mode, Sketch
from .announce import CostNotice
from .memory import beyond_plain, flat_copies
from .plan import Plan, predict_sequential

__all__ = ["Foresight"]

_KNOWN = 2  # steps after which it is known which tasks reach which parameters
_BACKWARD = 2 / 3  # of a plain step


@dataclass(eq=False)
class Foresight:
    """Plans of one Balancer's steps, each said before the step begins.

    Attributes:
        ownership: Who owns which parameter.
        notice: Says a plan once.
        seen: For each number of tasks, how often an approximation was looked at, and its plan.
    """

    ownership: Ownership
    notice: CostNotice = field(default_factory=CostNotice)
    seen: dict[int, tuple[int, Plan]] = field(default_factory=dict)

    def approximate(
        self,
        mode: Mode,
        losses: Sequence[Tensor],
        features: Sequence[Tensor],
        limit: float | None,
        *,
        complete: bool,
        graph: Graph | None = None,
    ) -> Plan:
        """The plan of an approximation; its reason is the setting.

        Args:
            mode: `Features`, `Sketch` or `LastLayer`.
            losses: Of the present tasks.
            features: Tensors between trunk and heads, for `Features`.
            limit: Bytes that gradients may take; None for what is free.
            complete: Whether all tasks are present.
            graph: That of the losses, where it was read already.
        """
        k = len(losses)
        times, plan = self.seen.get(k, (0, None))
        if plan is None or times < _KNOWN:
            plan = self._look(mode, losses, features, complete, read_graph(losses) if graph is None else graph)
            self.seen[k] = (times + 1, plan)
        self.notice(plan, limit, losses[0].device)
        return plan

    def _look(
        self, mode: Mode, losses: Sequence[Tensor], features: Sequence[Tensor], complete: bool, graph: Graph
    ) -> Plan:
        k, reason = len(losses), f"gradients={mode!r}"
        leaves = list(graph.leaves.values())
        self.ownership.meet(leaves, complete=complete)
        memory = beyond_plain(mode, k, leaves, self.ownership, features=features)
        if isinstance(mode, Features):  # heads once each, and one pass of the mixture through the trunk
            return Plan("features", reason, 1, 1.0, memory)
        if isinstance(mode, Sketch):
            return Plan("sketch", reason, k, predict_sequential(graph, losses, again=1.0), memory)
        assert isinstance(mode, LastLayer)
        wanted = [*mode.parameters, *(leaf for leaf in leaves if not self.ownership.is_shared(leaf))]
        return Plan("last layer", reason, k, predict_sequential(graph, losses, wanted=wanted, again=1.0), memory)

    def exact(
        self,
        method: Method,
        losses: Sequence[Tensor],
        limit: float | None,
        *,
        recompute: bool,
        graph: Graph | None = None,
    ) -> Callable[[Plan], Plan]:
        """Completes a plan of an exact engine by what the method and the way of handing out add, and says it.

        Args:
            method: One on the Jacobian makes float64 copies of it.
            losses: Of the present tasks.
            limit: Bytes that gradients may take; None for what is free.
            recompute: Whether the weighted sum is differentiated once more.
            graph: That of the losses, where it was read already.
        """

        def complete(plan: Plan) -> Plan:
            flat = isinstance(method, JacobianMethod)
            memory = plan.memory
            if memory is not None and flat:
                leaves = leaves_behind(losses) if graph is None else list(graph.leaves.values())
                memory += flat_copies(len(losses), leaves, self.ownership)
            cost = plan.cost + _BACKWARD if plan.cost is not None and recompute and not flat else plan.cost
            plan = replace(plan, cost=cost, memory=memory)
            self.notice(plan, limit, losses[0].device)
            return plan

        return complete
