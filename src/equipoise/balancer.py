"""The object that users hold: losses in, one scalar out, `backward` as always."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from .balancing.clocks import Clocks, refuse_no_clock
from .balancing.memory import Memory
from .balancing.optimizers.line_search import Calls
from .balancing.optimizers.optimizer_steps import BEGUN, OptimizerStep, running_step
from .balancing.optimizers.unmoved import Unmoved
from .balancing.optimizers.windows import Windows, refuse_flush
from .balancing.ranked import Given, Group, Ranked, Rows, Turn
from .balancing.saved_state import Saved
from .balancing.settings_checks import check_settings, read_metric, read_shared, refuse_second_batch, refuse_transform
from .balancing.step_record import StepRecord
from .balancing.whole import Whole
from .core.losses import (
    Losses,
    check_names,
    mean_of,
    mean_of_some,
    names_in,
    numbers_of,
    read_losses,
    read_others,
    stacked,
)
from .core.tasks import Preference, Tasks
from .engine.cost.plan import Plan
from .engine.engine_state import Carried
from .engine.graph.inspection import Guard, allow_several_backwards, read_features
from .engine.modes import Exact, LastLayer, Mode
from .engine.sources.dispatch import Settings
from .engine.step.accumulation import Accumulation
from .engine.step.context import Balanced, Context
from .engine.step.inject import hand_over, inject
from .engine.step.step import run_step
from .errors import LossError, SettingError
from .methods.base import LossMethod, Method, State, Step
from .methods.run import refuse_preference

__all__ = ["Balancer"]

_RANKS = torch.distributed.is_available()


class Balancer(Whole, Windows, Ranked, Memory, Clocks, Saved):
    """Balances several losses inside your own training loop.

    ``loss = balancer({"depth": l1, "normals": l2})`` replaces ``(l1 + l2) / 2``; everything after it stays: `backward`,
    gradient clipping, a `GradScaler`, the optimizer. The scalar's value is the mean of the present losses; its
    gradient is the method's direction on shared parameters and, for most methods, each head's own gradient at the
    mean's scale.

    A parameter is shared once two tasks have reached it with a gradient that is not exactly zero. You need not declare
    anything; `shared` overrides this, and `features` at the call saves work where a trunk feeds several heads.

    Args:
        method: Instance of a method, for example ``eq.CAGrad(c=0.4)``.
        tasks: Task names. Required where the method trains parameters (so that the optimizer can be built first);
            otherwise the first call fixes them.
        model: The model, which names parameters for messages, for modules as groups, and for saved states that must
            survive steps without all tasks; its BatchNorm statistics are kept where checkpointing runs the forward
            again.
        shared: The parameters to balance; others that several tasks reach get the mean of their gradients.
        heads: Gradient of a parameter that only task i reaches: ``"own"`` gives g_i/k, ``"weighted"`` gives a_i g_i.
            The method's default if None.
        value: Value that ``item()`` shows: the ``"mean"`` loss, or the ``"weighted"`` sum. With the sum all parameters
            get its gradient, and its weights are fixed during one optimizer step. None: the mean (in L-BFGS's line
            search the sum).
        scale: Scale of the gradient: ``"mean"``, or ``"sum"`` to keep a learning rate tuned for the sum of the losses.
        mode: ``"inject"`` stores the direction and delivers it in `backward`; ``"recompute"`` differentiates the
            weighted sum once more (one more pass, less memory).
        nonfinite: Reaction to NaN or inf: ``"raise"``, ``"skip"`` the task for this step and count it, or
            ``"propagate"`` NaN into the gradients (for a `GradScaler`), without touching the state. The losses are
            checked and, where the step computes them, each task's gradients. Methods on losses alone, and steps that
            reuse weights (`Every`), leave the gradients to your `backward`; check them there with
            ``clip_grad_norm_(..., error_if_nonfinite=True)``.
        steps_per_epoch: Number of steps per epoch, for methods that move per epoch, or ``"manual"`` if you call
            `end_epoch`. With `accumulate` a step is a balance, not a micro-batch.
        gradients: ``eq.Exact()``, or an approximation by name: ``eq.Features()``, ``eq.Every(n)``, ``eq.Sketch(s)``,
            ``eq.LastLayer(parameters)``; `equipoise.profile` measures each on your model.
        granularity: One set of weights for the ``"model"``, or for each ``"module"`` or ``"tensor"``, each from its own
            Gramian and with its own state. For Gramian methods; guarantees then hold group by group.
        layer: The layer whose gradients GradNorm compares; short for ``gradients=eq.LastLayer(layer)``.
        memory_limit: Bytes that gradients may take, checked before the first step; the device's free memory if None,
            ``float("inf")`` for no limit.
        process_group: Ranks whose batches make one step: losses, gradients and weights are those of all their rows.
            All ranks of `torch.distributed` if None; ``"none"`` for each rank by itself.
        check_replicas: Number of steps between tests that ranks hold the same parameters and state; 0 for none.
        metric: Experimental. Your Adam or AdamW: the method then sees the products J D J^T in that optimizer's own
            metric (see `OptimizerMetric`), and what it promises holds for the step of Adam without momentum. k
            gradients are formed, and multiplied once more.

    Attributes:
        last: `StepRecord` of the last training step: losses, weights, Gramian, cosines, status, seconds.
        counts: Number of steps by the name of their status; also of skipped tasks, and of steps whose products were
            computed again in float64 (`Exact`), which costs time that the plan does not foresee.
        plan: `Plan` of the last step: engine, reason, passes, predicted cost and memory.
        state: State of the method, by name.
        trained: Parameters of the method, by name; give ``balancer.parameters()`` to the optimizer, without weight
            decay.

    Raises:
        SettingError, TaskError, LossError: A setting, task name or loss cannot be used; nothing was changed.
        NonFiniteError: With ``nonfinite="raise"``, a loss or gradient is NaN or inf; nothing was changed.
        ClockError: The method moves per epoch and `steps_per_epoch` is missing.
        EquipoiseError: On all ranks together: one could not take the step, or does not answer, or differs.

    Cost:
        A loss method adds a few operations on k numbers. A Gramian or Jacobian method takes at most (1 + 2k)/3 times
        the arithmetic of a plain step (``balancer.plan`` says what it was) and k times the shared parameters in
        memory. The engine's own work comes on top and does not shrink with the model: about a millisecond a step on a
        CPU, two for ten tasks. Where a plain step takes less than that, it dominates. `Every` and loss methods avoid
        it; `equipoise.profile` measures it.

    Side effects:
        A call that raises, or is interrupted, leaves the Balancer as it was, so you can repeat it.

        For a method that needs gradients, the passes of the tasks run through the losses' graph: it is freed
        (``retain_graph=True`` keeps it), and hooks on activations are called once per task. ``retain_grad()`` on an
        activation is unsupported: its ``grad`` is the sum over tasks where the passes go through it, and None in steps
        of small models, whose graph is known; register a hook instead. Hooks on parameters fire once, in your
        `backward`. ``torch._functorch.config.donated_buffer`` is set to False, so that models compiled afterwards can
        be differentiated more than once.

    Example:
        >>> import equipoise as eq
        >>> trunk, heads = nn.Linear(3, 4), nn.ModuleList([nn.Linear(4, 1), nn.Linear(4, 1)])
        >>> balancer = eq.Balancer(eq.MGDA())
        >>> features = trunk(torch.ones(8, 3)).relu()
        >>> loss = balancer({"depth": heads[0](features).square().mean(), "normals": heads[1](features).abs().mean()})
        >>> loss.backward()
        >>> balancer.last.weights.sum()
        tensor(1., dtype=torch.float64)
    """

    def __init__(
        self,
        method: Method,
        *,
        tasks: Sequence[str] | None = None,
        model: nn.Module | None = None,
        shared: nn.Module | Iterable[Tensor] | None = None,
        heads: Literal["own", "weighted"] | None = None,
        value: Literal["mean", "weighted"] | None = None,
        scale: Literal["mean", "sum"] = "mean",
        mode: Literal["inject", "recompute"] = "inject",
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        steps_per_epoch: int | Literal["manual"] | None = None,
        gradients: Mode | None = None,
        granularity: Literal["model", "module", "tensor"] = "model",
        layer: nn.Module | Tensor | Iterable[Tensor] | None = None,
        memory_limit: float | None = None,
        process_group: Group = None,
        check_replicas: int = 100,
        metric: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__()
        if layer is not None and gradients is not None:
            raise SettingError("`layer` is short for gradients=eq.LastLayer(layer): give one of the two.")
        way = LastLayer(layer) if layer is not None else Exact() if gradients is None else gradients
        given: dict[str, object] = {"heads": heads, "scale": scale, "mode": mode, "nonfinite": nonfinite}
        given |= {"steps_per_epoch": steps_per_epoch, "memory_limit": memory_limit, "gradients": way, "value": value}
        given |= {"process_group": process_group, "check_replicas": check_replicas}
        check_settings(method, tasks, model, given | {"granularity": granularity, "metric": metric})
        self.method = method
        heads = "weighted" if value == "weighted" else heads or method.heads
        own = read_metric(metric)
        self.settings = Settings(heads, scale, mode, nonfinite, way, granularity, memory_limit, value, own)
        self.steps_per_epoch = steps_per_epoch
        self.process_group, self.check_replicas = process_group, check_replicas
        self.tasks: tuple[str, ...] | None = None
        self.trained = nn.ParameterDict()
        self.last: StepRecord | None = None
        self.plan = Plan("none", "no step yet", 0)
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.state: State = {}
        self.carried = Carried()
        self.accumulation: Accumulation | None = None
        self.calls = Calls(method, self.settings)
        self._unmoved = Unmoved()
        self.set_up(model, read_shared(shared))
        if not isinstance(method, LossMethod):
            allow_several_backwards()
        if tasks is not None:
            self.fix_tasks(check_names(tasks))

    def forward(
        self,
        losses: Losses | None,
        *,
        features: object = None,
        preference: Preference | None = None,
        retain_graph: bool = False,
        second: Losses | None = None,
        third: Losses | None = None,
        flush: bool = False,
        rows: Rows = None,
    ) -> Tensor:
        """One balanced scalar.

        Args:
            losses: Scalars, by task name (any order) or in task order. None marks a task that is absent from this
                step (no labels): it is left out of the mean and of the problem, and its state stays untouched.
            features: Input tensors of the heads (one, or a sequence or mapping of them, nested as the model returns
                them), to differentiate heads and trunk separately.
            preference: Preference between the tasks, for methods that honour one.
            retain_graph: Whether to keep the graph of the losses, for a loss of your own that is added afterwards.
            second: Losses of the same tasks on an independent batch, for methods that sample twice. MoDo and SDMGrad
                then use the products of the gradients of `losses` with those of `second`. NTKWeights takes its probes
                here: signed sums of the residuals, given as `second` and as `third`.
            third: Losses of the same tasks on one more batch (for NTKWeights the probes again). The method then uses
                the gradients of `second` and `third` alone, and its weights apply to `losses`.
            flush: Whether this micro-batch is the last before the optimizer's step, within `accumulate`.
            rows: Number of rows behind the losses, one for all tasks or by task name, for several ranks whose batches
                differ in size. Read from the losses if None: a mean of n numbers, cross-entropy over n targets.

        Returns:
            A scalar with the mean loss as value. Under `eval()` or `no_grad` just that, and nothing else changes.
            Within `accumulate`, micro-batches before the last give a scalar whose `backward` does nothing.
        """
        active = self.training and torch.is_grad_enabled()
        given = Given(losses, features, preference, retain_graph, second, third, flush, rows)
        turn = self.over_ranks() if active and _RANKS else None
        if turn is None:
            return self._one(active, None, given)
        with turn:
            return self._one(active, turn, given)

    def _one(self, active: bool, turn: Turn | None, given: Given) -> Tensor:
        """One call, alone or in turn with other ranks."""
        losses, features, preference, retain_graph, second, third, flush, rows = given
        note = {} if turn is None else self.note(given)
        if losses is None:
            if not flush:
                raise LossError("`losses` is None: pass the losses by task name, or in task order.")
            return self.flushed(refuse_flush(self.accumulation, active), time.perf_counter(), None, turn, note)
        names = names_in(losses) if self.tasks is None else self.tasks
        present, values = read_losses(losses, names, differentiable=active, empty=turn is not None)
        running = None if BEGUN.step is None else running_step()  # an optimizer's step with a closure
        again = None if running is None or not self.training else self.calls.again(running, present, names, values)
        if again is not None:
            return again
        if not active:
            return mean_of(values)
        if torch._C._functorch.maybe_current_level() is not None:
            refuse_transform()
        if self.steps_per_epoch is None and self.method.per_epoch:
            refuse_no_clock(self.method)
        if preference is not None:
            refuse_preference(self.method, preference)
        accumulates = self.accumulation is not None
        weighted = self.calls.weighted if running is None else self.calls.must_fit(running, accumulates=accumulates)
        held = () if features is None else read_features(features)
        others: tuple[list[Tensor] | None, list[Tensor] | None] = (None, None)
        if second is not None or third is not None:
            refuse_second_batch(self.method, self.settings, accumulates)
            others = read_others(second, third, names, present)
        if self.tasks is None:
            self.fix_tasks(names)
        began = time.perf_counter()
        alone = self.method.needs == "losses" and self.accumulation is None and turn is None
        stack = stacked(values) if alone else None
        numbers = None if turn is not None else numbers_of(values) if stack is None else stack.detach().double()
        tasks = self._everyone if len(present) == len(names) else Tasks(names, tuple(present))
        now = Context(
            self.method, values, Step(tasks, numbers, preference), self.current_state(self.device_of(values)),
            self._tools or self.tools,
            self.settings, self.carried, held, retain_graph, *others, stack,
        )  # fmt: skip
        if turn is not None:
            now = turn.joined(now, rows, note)
            tasks, values = now.step.tasks, turn.values
        if self.accumulation is None:
            return self.finished(self._balanced(now), values, stack, tasks.present, began, running, weighted, turn)
        self.take_in(now, self.accumulation)
        if flush or self.accumulation.done == self.accumulation.steps:
            return self.flushed(self.accumulation, began, running, turn, None, values, tasks.present)
        return inject(mean_of(values), [], [])

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"{self.method!r}, tasks={self.tasks}, {self.settings}"

    def _balanced(self, now: Context) -> Balanced:
        if self.method.needs == "losses":
            return run_step(now)
        with Guard(now.losses):
            return run_step(now)

    def finished(
        self,
        balanced: Balanced,
        values: Sequence[Tensor],
        stack: Tensor | None,
        present: Sequence[int],
        began: float,
        running: OptimizerStep | None,
        weighted: bool,
        turn: Turn | None = None,
    ) -> Tensor:
        """The scalar, made before the outcome is stored: a step that fails here has not happened."""
        kept, skipped_all = balanced.tasks.present, balanced.weighed is None and bool(balanced.skipped)
        if kept == present and not skipped_all:
            value = mean_of(values, stack)
        else:
            value = mean_of_some(values, present, () if skipped_all else kept)
        if weighted:
            value = self.calls.first(running, balanced, values, value)
        elif running is not None:
            self.calls.notice(running)
        handout = balanced.targets
        if balanced.weighed is not None and balanced.weighed.trained:
            slopes = balanced.weighed.trained.items()
            mine = [(self.trained[name], slope.to(self.trained[name]) * balanced.factor) for name, slope in slopes]
            handout = [*handout, *mine]
        if turn is not None:
            balanced, handout = turn.handed_out(balanced, handout)
        scalar = hand_over(value, handout, stack, self.method)
        if self.method.needs != "losses" and scalar.grad_fn is not None:
            (self._tools or self.tools).recipes.watch.note(scalar.grad_fn)
        self.take_over(balanced, time.perf_counter() - began)
        return scalar
