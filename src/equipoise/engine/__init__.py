"""From losses and their graph to one scalar that is differentiated as usual.

The route of a step, top down; every line is one call, and the files are read in this order:

1. `Balancer.forward` reads the losses, makes a `Context` (step/context) and calls `run_step` (step/step). A step that
   raises has not happened: `Whole` (balancing) puts everything back.
2. `run_step` leaves out losses that are not finite. A loss method answers at once: weights on the losses, no pass.
3. For the others `step_gradients` (step/gradients) asks for gradients, and merges those of several ranks (ranks/).
   `gradients_of` (sources/dispatch) computes the `Gradients` of the step. A graph whose signature is
   known (graph/signature) follows the `Recipe` (passes/recipe) that was written when the graph first occurred.
4. Otherwise the graph is read (graph/autograd_graph) and the mode computes (`Mode.compute`, sources/): `Exact` calls
   `differentiate` (passes/exact) for the cheapest exact engine, the approximations make their own passes. Each logs
   its `Plan` (cost/plan) before it begins.
5. `differentiate` splits the graph at the features, runs the heads (passes/heads), then the passes through the trunk
   (passes/backward), and sorts the gradients into those of shared and of own parameters (passes/partition):
   `Ownership` (graph/ownership) learns from them which tasks share which parameter.
6. Gradients are kept in blocks (blocks/): dense rows, output gradients of linear layers, rows that each task owns,
   rows that depend on others. Every block knows its inner products and its mixtures (`Part`, blocks/part).
7. `Gradients.gramian` adds the products up; `run_gramian_method` (methods/run) computes weights from it.
8. `hand_out` (step/hand_out) mixes the blocks with the weights, and gives each head its own gradient.
9. `inject` (step/inject) makes the scalar whose `backward` passes all this to the parameters.

A new way to compute gradients is a file in sources/ and a line in modes (and one in `_public`); a new way to keep them
is a file in blocks/.
"""

from .blocks.dense import Jacobian
from .blocks.task_gradients import Gradients
from .cost.plan import Plan
from .graph.ownership import Ownership
from .passes.exact import differentiate
from .step.inject import inject

__all__ = ["Gradients", "Jacobian", "Ownership", "Plan", "differentiate", "inject"]
