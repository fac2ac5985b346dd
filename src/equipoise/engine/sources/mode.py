"""What a way to get gradients is: a value of ``gradients=`` that knows its cost, its plan, its passes and its state.

A new way is one file here, with a subclass of `Mode`, a line in `engine.modes`, and one in `_public` for ``eq.NAME``.
It must give gradients of the losses themselves: with ``mode="recompute"`` and for approximate weights the mixture is
taken through the losses' own graph.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

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
from ..passes.recipe import Recipe, Recipes
from ..passes.recipe_writing import write_recipe

__all__ = ["Mode", "Request", "Tools", "refuse_mode"]

_KNOWN = 2  # steps after which it is known which tasks reach which parameters
_BACKWARD = 2 / 3  # of a plain step


@dataclass(eq=False)
class Tools:
    """Objects shared by all steps of a Balancer.

    Attributes:
        ownership: Who owns which parameter.
        model: The user's, or None.
        measured: Numbers of tasks for which the memory needed was looked at.
        notice: Says a plan once.
        seen: For each number of tasks, how often an approximation was looked at, and its plan.
        kept: What a mode keeps between steps to spare work; no state: it can be made again.
        recipes: How steps of small models go.
    """

    ownership: Ownership
    model: nn.Module | None = None
    measured: set[int] = field(default_factory=set)
    notice: CostNotice = field(default_factory=CostNotice)
    seen: dict[int, tuple[int, Plan]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    recipes: Recipes = field(init=False)

    def __post_init__(self) -> None:
        self.recipes = Recipes(self.ownership)


@dataclass(frozen=True, eq=False)
class Request:
    """The gradients that a step asks for.

    Attributes:
        method: Whose step it is.
        losses: Scalars of the present tasks, scaled for the passes.
        tasks: Names, and which are present.
        graph: Of the losses.
        tools: Of the Balancer.
        features: Tensors between trunk and heads, or none.
        keep: Whether the graph is needed afterwards.
        jacobian: Whether single gradients are looked at, and not only their products and mixtures.
        limit: Bytes that gradients may take; None for what is free.
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
        """An exact engine's plan, completed by what the method and the way of handing out add, and said."""
        flat, memory = isinstance(self.method, JacobianMethod), plan.memory
        if memory is not None and flat:
            memory += flat_copies(len(self.losses), self.leaves(), self.tools.ownership)
        cost = plan.cost + _BACKWARD if plan.cost is not None and self.recompute and not flat else plan.cost
        plan = replace(plan, cost=cost, memory=memory)
        self.tools.notice(plan, self.limit, self.losses[0].device)
        return plan

    def foreseen(self, mode: "Mode") -> Plan:
        """An approximation's plan, said; it is made anew only until ownership is known."""
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
        straight: Whether a step whose graph is known may skip `compute`, by what `write` says of it. `write` gives what
            `Exact` gives unless it is overridden: leave this False where the gradients differ.
        looks_for_room: Whether it finds a way that fits into the memory there is.
        remembers: Whether weights of one step serve in later ones (`remember`, `recall`).
        single: Whether one set of weights is all that it gives, so that groups of parameters cannot have their own.
    """

    accumulates: ClassVar[str] = ""
    single: ClassVar[bool] = True
    straight: ClassVar[bool] = False
    looks_for_room: ClassVar[bool] = False
    remembers: ClassVar[bool] = False

    @abstractmethod
    def estimate(self, k: int, leaves: Sequence[Tensor], ownership: Ownership, features: Sequence[Tensor] = ()) -> int:
        """Bytes of the gradients that a step holds at once, without activations.

        Args:
            k: Tasks present.
            leaves: Parameters in the graph.
            ownership: Parameters known to belong to one task count once. Before the first step nothing is known of
                any, and each counts k times: an upper bound.
            features: Tensors between trunk and heads.
        """

    @abstractmethod
    def compute(self, request: Request) -> Gradients:
        """The gradients of a step, or what stands for them."""

    def write(self, request: Request) -> Recipe | None:
        """How a step like this one goes straight; None where it cannot."""
        tasks, ownership = request.tasks.present, request.tools.ownership
        recipe = write_recipe(request.losses, request.features, tasks, request.graph, ownership)
        return None if recipe is None or (recipe.plan.memory or 0) > (request.limit or math.inf) else recipe

    def plan(self, request: Request) -> Plan:
        """What a step will cost, before its passes; exact engines make their plan as they go."""
        raise NotImplementedError

    def recall(self, losses: Sequence[Tensor], tasks: Tasks, ownership: Ownership, reused: Reused) -> Reused | None:
        """Weights of an earlier step that serve in this one, or None: the gradients are then computed."""
        raise NotImplementedError

    def remember(self, weights: Tensor, heads: Tensor, step: Step) -> Reused:
        """What is carried to the next steps."""
        raise NotImplementedError

    def refused_by(self, method: Method) -> str:
        """Why a method cannot use it, or the empty string."""
        if isinstance(method, LossMethod):
            return f"{type(method).__name__} looks at losses alone: there is no Gramian to approximate"
        if not isinstance(method, GramianMethod):
            return f"{type(method).__name__} needs the Jacobian, which this does not give"
        if method.needs == "features":
            return f"{type(method).__name__} works on the gradients at the features already"
        return ""


def refuse_mode(mode: object, method: Method) -> str:
    """Why a method cannot use a way to get gradients, or the empty string."""
    if isinstance(mode, type) and issubclass(mode, Mode):
        return f"gradients={mode.__name__} (an instance: eq.{mode.__name__}(...))"
    if not isinstance(mode, Mode):
        return f"gradients={mode!r} (eq.Exact(), Features(), Every(n), Sketch(s) or LastLayer(parameters))"
    why = mode.refused_by(method)
    return f"gradients={mode!r} ({why})" if why else ""
