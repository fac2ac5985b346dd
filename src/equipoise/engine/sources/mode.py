"""Base class of the ways to compute gradients, the values of ``gradients=``, and the inputs that they get.

A new way is one file here, with a subclass of `Mode`, a line in `engine.modes`, and one in `_public` for ``eq.NAME``.
It must give gradients of the losses themselves: with ``mode="recompute"`` and for approximate weights the mixture is
taken through the losses' own graph.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ...core.tasks import Tasks
from ...methods.base import GramianMethod, JacobianMethod, LossMethod, Method, Step
from ..blocks.task_gradients import Gradients
from ..cost.announce import CostNotice
from ..cost.memory import flat_copies
from ..cost.plan import Plan
from ..engine_state import Reused
from ..graph.autograd_graph import Graph
from ..graph.ownership import Ownership
from ..graph.shards import Shards
from ..passes.recipe import Recipe, Recipes
from ..passes.recipe_writing import write_recipe

__all__ = ["Mode", "Request", "Tools", "refuse_mode"]

_KNOWN = 2  # steps after which it is known which tasks reach which parameters
_BACKWARD = 2 / 3  # of a plain step


@dataclass(eq=False)
class Tools:
    """Objects shared by all steps of a Balancer.

    Attributes:
        ownership: Record of which parameters are shared.
        model: The user's model, or None.
        measured: Numbers of tasks for which memory was checked.
        notice: Logger of plans, each once.
        seen: Number of plans made of an approximation and the last one, by the number of tasks.
        kept: Cache of a mode between steps; not part of the state, because it can be computed again.
        hold: List to which the next step adds its gradients, with the numbers of their tasks, for a recording that
            multiplies them with the optimizer's step; None where nobody asked for them.
        shards: Modules of FSDP2 and their sharded parameters.
        recipes: Stored recipes for steps of small models.
    """

    ownership: Ownership
    model: nn.Module | None = None
    measured: set[int] = field(default_factory=set)
    notice: CostNotice = field(default_factory=CostNotice)
    seen: dict[int, tuple[int, Plan]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    hold: list[tuple[tuple[int, ...], Gradients]] | None = None
    shards: Shards = field(default_factory=Shards)
    recipes: Recipes = field(init=False)

    def __post_init__(self) -> None:
        self.recipes = Recipes(self.ownership)


@dataclass(frozen=True, eq=False)
class Request:
    """Everything that a mode needs to compute the gradients of a step.

    Attributes:
        method: Method that will use the gradients.
        losses: Scalars of the present tasks, scaled for the passes.
        tasks: All task names, and which tasks are present.
        graph: Graph behind the losses.
        tools: Shared objects of the Balancer.
        features: Tensors between trunk and heads, or none.
        keep: Whether the graph is needed afterwards.
        jacobian: Whether single gradients are used, and not only their products and mixtures.
        limit: Bytes that gradients may take; None for the free memory.
        recompute: Whether the weighted sum is differentiated once more.
    """

    method: Method
    losses: Sequence[Tensor]
    tasks: Tasks
    graph: Graph
    tools: Tools
    features: Sequence[Tensor] = ()
    keep: bool = False
    jacobian: bool = False
    limit: float | None = None
    recompute: bool = False

    @property
    def complete(self) -> bool:
        """Whether all tasks are present."""
        return len(self.tasks.present) == len(self.tasks.names)

    def leaves(self) -> list[Tensor]:
        """Parameters and inputs in the graph; each parameter has a name afterwards."""
        leaves = list(self.graph.leaves.values())
        self.tools.ownership.meet(leaves, complete=self.complete)
        return leaves

    def announced(self, plan: Plan) -> Plan:
        """An exact engine's plan with the costs of the method and of ``mode="recompute"`` added; logs it."""
        flat, memory = isinstance(self.method, JacobianMethod), plan.memory
        if memory is not None and flat:
            memory += flat_copies(len(self.losses), self.leaves(), self.tools.ownership)
        cost = plan.cost + _BACKWARD if plan.cost is not None and self.recompute and not flat else plan.cost
        plan = replace(plan, cost=cost, memory=memory)
        self.tools.notice(plan, self.limit, self.losses[0].device)
        return plan

    def foreseen(self, mode: "Mode") -> Plan:
        """An approximation's plan, made again only until ownership is known; logs it."""
        k, seen = len(self.losses), self.tools.seen
        times, plan = seen.get(k, (0, None))
        if plan is None or times < _KNOWN:
            plan = mode.plan(self)
            seen[k] = (times + 1, plan)
        self.tools.notice(plan, self.limit, self.losses[0].device)
        return plan


@dataclass(frozen=True)
class Mode(ABC):
    """Base of all values of ``gradients=``.

    Attributes:
        accumulates: Whether gradients of micro-batches can be added up. ``"gradients"``: as they are; ``"sketches"``:
            for weights only, and the losses' graphs are kept; "" if not.
        straight: Whether a step with a known graph may skip `compute` and follow the recipe of `write`. Unless it is
            overridden, `write` gives the gradients of `Exact`: leave this False where the gradients differ.
        looks_for_room: Whether it chooses an engine that fits into the available memory.
        remembers: Whether later steps reuse the weights of one step (`remember`, `recall`).
        merges: What ranks merge: ``rows`` of gradients, those of one ``layer``, products at ``features``, ``sketch``.
        single: Whether it gives a single set of weights, so that groups of parameters cannot have their own.
    """

    accumulates: ClassVar[str] = ""
    single: ClassVar[bool] = True
    straight: ClassVar[bool] = False
    looks_for_room: ClassVar[bool] = False
    remembers: ClassVar[bool] = False
    merges: ClassVar[Literal["rows", "layer", "features", "sketch"]] = "rows"

    @abstractmethod
    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of the gradients that a step holds at once, without activations.

        Args:
            k: Number of present tasks.
            leaves: Parameters in the graph.
            ownership: Record of which parameters are shared. Those known to belong to one task count once. Before the
                first step nothing is known, and each counts k times: an upper bound.
            features: Tensors between trunk and heads.
        """

    @abstractmethod
    def compute(self, request: Request) -> Gradients:
        """The gradients of a step, or an approximation of them."""

    def write(self, request: Request) -> Recipe | None:
        """A recipe for steps like this one; None where there is none."""
        tasks, ownership = request.tasks.present, request.tools.ownership
        recipe = write_recipe(request.losses, request.features, tasks, request.graph, ownership)
        return None if recipe is None or (recipe.plan.memory or 0) > (request.limit or math.inf) else recipe

    def plan(self, request: Request) -> Plan:
        """Predicted cost of a step, before its passes; exact engines make their plan in `compute`."""
        raise NotImplementedError

    def recall(self, losses: Sequence[Tensor], tasks: Tasks, ownership: Ownership, reused: Reused) -> Reused | None:
        """Weights of an earlier step to reuse in this one, or None to compute the gradients."""
        raise NotImplementedError

    def remember(self, weights: Tensor, heads: Tensor, step: Step) -> Reused:
        """Weights of this step in the form in which later steps reuse them."""
        raise NotImplementedError

    def refused_by(self, method: Method) -> str:
        """Reason why a method cannot use this mode, or the empty string."""
        if isinstance(method, LossMethod):
            return f"{type(method).__name__} looks at losses alone: there is no Gramian to approximate"
        if not isinstance(method, GramianMethod):
            return f"{type(method).__name__} needs the Jacobian, which this does not give"
        if method.needs == "features":
            return f"{type(method).__name__} works on the gradients at the features already"
        return ""


def refuse_mode(mode: object, method: Method) -> str:
    """Reason why a method cannot use a value of ``gradients=``, or the empty string."""
    if isinstance(mode, type) and issubclass(mode, Mode):
        return f"gradients={mode.__name__} (an instance: eq.{mode.__name__}(...))"
    if not isinstance(mode, Mode):
        return f"gradients={mode!r} (eq.Exact(), Features(), Every(n), Sketch(s) or LastLayer(parameters))"
    why = mode.refused_by(method)
    return f"gradients={mode!r} ({why})" if why else ""
