"""The object that users hold: losses in, one scalar out, `backward` as always."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, cast

import torch
from torch import Tensor, nn

from .balancing.copies import Copyable
from .balancing.saved_state import Saved
from .balancing.settings_checks import (
    check_settings,
    read_shared,
    refuse_accumulation,
    refuse_ranks,
    refuse_second_batch,
)
from .balancing.step_record import StepRecord
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
from .engine.engine_state import Carried
from .engine.graph.inspection import allow_several_backwards, explained, read_features, statistics_held
from .engine.modes import Exact, LastLayer, Mode
from .engine.passes.exact import Plan
from .engine.sources.dispatch import Batch, Settings
from .engine.step.accumulation import Accumulation, Until, balance_last
from .engine.step.context import refuse_no_clock
from .engine.step.inject import inject, inject_weights
from .engine.step.parameter_groups import by_group
from .engine.step.step import Balanced, balance
from .errors import ClockError, SettingError, listed
from .methods.base import JacobianMethod, LossMethod, Method, State, Step, WeightedSum
from .methods.run import refuse_preference

__all__ = ["Balancer"]


class Balancer(Saved, Copyable):
    """Balances several losses inside your own training loop.

    ``loss = balancer({"depth": l1, "normals": l2})`` replaces ``(l1 + l2) / 2``; everything after it stays: `backward`,
    gradient clipping, a `GradScaler`, the optimizer. The scalar's value is the mean of the present losses; its
    gradient is the method's direction on shared parameters and, for most methods, each head's own gradient at the
    mean's scale.

    A parameter is shared once two tasks have reached it with a gradient that is not exactly zero. Nothing need be
    declared; `shared` overrides this, and `features` at the call saves work where a trunk feeds several heads.

    Args:
        method: An instance, for example ``eq.CAGrad(c=0.4)``.
        tasks: Task names. Required where the method trains parameters (so that the optimizer can be built first);
            otherwise the first call fixes them.
        model: Gives names to parameters, for messages, for modules as groups, and for saved states that must survive
            steps without all tasks; its BatchNorm statistics are held where checkpointing runs the forward again.
        shared: The parameters to balance; others that several tasks reach get the mean of their gradients.
        heads: ``"own"``: a parameter of one task gets g_i/k; ``"weighted"``: a_i g_i. The method's default if None.
        scale: ``"mean"``, or ``"sum"`` to keep a learning rate tuned for the sum of the losses.
        mode: ``"inject"`` stores the direction and hands it out in `backward`; ``"recompute"`` differentiates the
            weighted sum once more (one more pass, less memory).
        nonfinite: What to do about NaN or inf in a loss or gradient: ``"raise"``, ``"skip"`` the task for this step and
            count it, or ``"propagate"`` NaN into the gradients (for a `GradScaler`), without touching the state.
        steps_per_epoch: For methods that move per epoch: an epoch ends after that many steps, or ``"manual"`` if you
            call `end_epoch`. With `accumulate` a step is a balance, not a micro-batch.
        gradients: ``eq.Exact()``, or an approximation by name: ``eq.Features()``, ``eq.Every(n)``, ``eq.Sketch(s)``,
            ``eq.LastLayer(parameters)``; `equipoise.profile` measures each on your model.
        granularity: One set of weights for the ``"model"``, or for each ``"module"`` or ``"tensor"``, each from its own
            Gramian and with its own state. For Gramian methods; guarantees then hold group by group.
        layer: The layer whose gradients GradNorm compares; short for ``gradients=eq.LastLayer(layer)``.
        memory_limit: Bytes that gradients may take; what the device has free if None. Looked at before the first
            step; ``float("inf")`` forces.

    Attributes:
        last: `StepRecord` of the last training step: losses, weights, Gramian, cosines, status, seconds.
        counts: How often each status occurred, by name; also tasks skipped, and products of gradients that were made
            again in float64 (`Exact`), which costs time that the plan does not foresee.
        plan: How gradients were computed in the last step.
        state: What the method remembers, by name.
        trained: Parameters of the method, by name; give ``balancer.parameters()`` to the optimizer, without weight
            decay.

    Raises:
        SettingError, TaskError, LossError: Named in the messages; nothing was changed.
        NonFiniteError: With ``nonfinite="raise"``; nothing was changed.
        ClockError: A method that moves per epoch has no clock.

    Cost:
        A loss method adds a few operations on k numbers. A Gramian or Jacobian method costs at most (1 + 2k)/3 plain
        steps and k times the shared parameters in memory; ``balancer.plan`` says what it was.

    Side effect:
        For a method that needs gradients, ``torch._functorch.config.donated_buffer`` is set to False, so that models
        compiled afterwards can be differentiated more than once.

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
        scale: Literal["mean", "sum"] = "mean",
        mode: Literal["inject", "recompute"] = "inject",
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        steps_per_epoch: int | Literal["manual"] | None = None,
        gradients: Mode | None = None,
        granularity: Literal["model", "module", "tensor"] = "model",
        layer: nn.Module | Tensor | Iterable[Tensor] | None = None,
        memory_limit: float | None = None,
    ) -> None:
        super().__init__()
        if layer is not None and gradients is not None:
            raise SettingError("`layer` is short for gradients=eq.LastLayer(layer): give one of the two.")
        way = LastLayer(layer) if layer is not None else Exact() if gradients is None else gradients
        given = {"heads": heads, "scale": scale, "mode": mode, "nonfinite": nonfinite, "granularity": granularity}
        check_settings(
            method,
            tasks,
            model,
            given | {"steps_per_epoch": steps_per_epoch, "gradients": way, "memory_limit": memory_limit},
        )
        self.method = method
        self.settings = Settings(heads or method.heads, scale, mode, nonfinite, way, granularity, memory_limit)
        self.steps_per_epoch = steps_per_epoch
        self.tasks: tuple[str, ...] | None = None
        self.trained = nn.ParameterDict()
        self.last: StepRecord | None = None
        self.plan = Plan("none", "no step yet", 0)
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.state: State = {}
        self.carried = Carried()
        self.accumulation: Accumulation | None = None
        self.set_up(model, read_shared(shared))
        if not isinstance(method, LossMethod):
            allow_several_backwards()
        if tasks is not None:
            self.fix_tasks(check_names(tasks))

    def fix_tasks(self, names: tuple[str, ...]) -> None:
        """Settles the task names and starts the method's state; the first call and loading do it too."""
        self._everyone = Tasks(check_names(names))  # refuses doubled names
        late = isinstance(self.method, JacobianMethod) or self.settings.granularity != "model"
        state = {} if late else self.method.init(len(names), 0)
        trained = {tensor.name for tensor in self.method.state_tensors if tensor.trained}
        self.trained.update({name: nn.Parameter(tensor.clone()) for name, tensor in state.items() if name in trained})
        self.state = {name: tensor for name, tensor in state.items() if name not in trained}
        self.tasks = names

    def forward(
        self,
        losses: Losses,
        *,
        features: object = None,
        preference: Preference | None = None,
        retain_graph: bool = False,
        second: Losses | None = None,
        third: Losses | None = None,
    ) -> Tensor:
        """One balanced scalar.

        Args:
            losses: Scalars, by task name (any order) or in task order. None marks a task that is absent from this
                step (no labels): it is left out of the mean and of the problem, and its state stays untouched.
            features: The tensors that the heads were given (one, or a sequence or mapping of them, nested as the model
                gives them), if you want heads and trunk differentiated apart.
            preference: What is wanted, for methods that honour one.
            retain_graph: Keep the graph of the losses, for a loss of your own that is added afterwards.
            second: The same tasks' losses on an independent batch, for methods that sample twice (MoDo, SDMGrad): the
                Gramian that they see is that of the gradients of `losses` times those of `second`.
            third: On one more batch: then the Gramian is that of `second` times `third`, and `losses` is balanced only.

        Returns:
            A scalar with the mean loss as value. Under `eval()` or `no_grad` just that, and nothing is touched. Within
            `accumulate`, micro-batches before the last give a scalar whose `backward` does nothing.
        """
        names = names_in(losses) if self.tasks is None else self.tasks
        active = self.training and torch.is_grad_enabled()
        present, values = read_losses(losses, names, differentiable=active)
        if not active:
            return mean_of(values)
        refuse_ranks(self.method)
        refuse_no_clock(self.method, self.steps_per_epoch)
        refuse_preference(self.method, preference)
        held = read_features(features)
        if second is not None or third is not None:
            refuse_second_batch(self.method, self.settings, self.accumulation is not None)
        others = read_others(second, third, names, present)
        first = self.tasks is None
        if first:
            self.fix_tasks(names)
        began = time.perf_counter()
        stack = stacked(values) if self.method.needs == "losses" and self.accumulation is None else None
        numbers = numbers_of(values) if stack is None else stack.detach().double()
        tasks = self._everyone if len(present) == len(names) else Tasks(names, tuple(present))
        batch = Batch(values, held, retain_graph, *others, stack)
        try:
            balanced = self._balance(batch, Step(tasks, numbers, preference))
            if balanced is not None:
                self._after(balanced, time.perf_counter() - began)
            first = False
        finally:
            if first:
                self._forget_tasks()
        if balanced is None:
            return inject(mean_of(values), [], [])
        value = mean_of_some(values, tasks.present, () if balanced.empty else balanced.tasks.present, stack)
        targets = [*balanced.targets, *self._trained_targets(balanced)]
        if len(targets) == 1 and targets[0][0] is stack:
            return inject_weights(value, *targets[0], constant=isinstance(self.method, WeightedSum))
        return inject(value, [target for target, _ in targets], [gradient for _, gradient in targets])

    def _forget_tasks(self) -> None:
        """Undoes a first call that was refused: names, state, and what its gradients told about the parameters."""
        self.tasks, self.state = None, {}
        self.set_up(self.__dict__["_model"], self._declared)

    def _current_state(self, device: torch.device) -> State:
        state = {name: tensor.to(device) for name, tensor in self.state.items()}
        if not self.method.trains:
            return state
        return {**state, **cast("dict[str, Tensor]", self.trained._parameters)}  # dict(self.trained), ten times faster

    def _trained_targets(self, balanced: Balanced) -> list[tuple[Tensor, Tensor]]:
        found = {} if balanced.weighed is None else balanced.weighed.trained
        own = {name: self.trained[name] for name in found}
        return [(own[name], slope.to(own[name]) * balanced.factor) for name, slope in found.items()]

    def accumulate(self, steps: int, *, divided: bool = False) -> AbstractContextManager[None]:
        """From now on, one balance for several micro-batches: their gradients are averaged, then balanced.

        Call the Balancer and `backward` on every micro-batch, and the optimizer after the last. Equal micro-batches
        give what one big batch would (up to what layers such as BatchNorm make of a batch). Do not divide the losses.

        Args:
            steps: Micro-batches to one balance; 1 for none.
            divided: Whether something in between divides each loss by `steps` before `backward`, as Lightning,
                Accelerate and the Transformers Trainer do: the direction is then multiplied by it.

        Returns:
            A context manager, if it is to end: ``with balancer.accumulate(4): ...``. Leaving it in the middle raises
            `ClockError`.

        Memory:
            Between micro-batches the Jacobian of the shared parameters is kept (k gradients). Methods on losses alone,
            ``mode="recompute"`` and `Sketch` keep the graphs of all micro-batches instead.
        """
        refuse_accumulation(steps, self.method, self.settings)
        before, self.accumulation = self.accumulation, Accumulation(steps, divided) if steps > 1 else None
        return Until(self, before)

    def end_epoch(self) -> None:
        """Tells a method that moves per epoch that one has ended; others do not mind."""
        if self.method.per_epoch:
            if self.tasks is None:
                raise ClockError("`end_epoch` was called before the first step.")
            self.state = self._each_group(self.method.end_epoch)

    def observe(self, losses: Mapping[str, Tensor] | Sequence[Tensor]) -> None:
        """Shows the losses once more, after the optimizer's step, to methods that learn from the change (FAMO)."""
        if self.tasks is None:
            raise ClockError("`observe` was called before the first step.")
        present, values = read_losses(losses, self.tasks, differentiable=False)
        if len(present) != len(self.tasks):
            absent = listed(name for number, name in enumerate(self.tasks) if number not in present)
            raise SettingError(f"`observe` needs the losses of all tasks; those of {absent} are None.")
        numbers = numbers_of(values)
        self.state = self._each_group(lambda state: self.method.observe(numbers, state))

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"{self.method!r}, tasks={self.tasks}, {self.settings}"

    # ------------------------------------------------------------------------------------------------ one step

    def _balance(self, batch: Batch, step: Step) -> Balanced | None:
        """None within `accumulate`, before the last micro-batch."""
        rest = (step, self._current_state(batch.losses[0].device), self.tools, self.settings, self.carried)
        if self.accumulation is None and self.method.needs == "losses":
            return balance(self.method, batch, *rest)
        with explained(), statistics_held(None if self.method.needs == "losses" else self.tools.model):
            if self.accumulation is None:
                return balance(self.method, batch, *rest)
            return balance_last(self.method, batch, *rest, self.accumulation)

    def _after(self, balanced: Balanced, seconds: float) -> None:
        weighed, steps = balanced.weighed, self.steps + 1
        # none of these is a module or a parameter, which nn.Module.__setattr__ would look for each time
        now: dict[str, object] = {"plan": balanced.plan, "carried": balanced.carried, "steps": steps}
        state = self.state
        if weighed is not None:
            kept, gone = weighed.state, weighed.trained
            state = {name: kept[name].detach() for name in kept if name not in gone}
            now["last"] = StepRecord(
                balanced.tasks, balanced.losses, weighed, balanced.gramian, seconds, balanced.groups, balanced.reused
            )
        if self.method.per_epoch and isinstance(self.steps_per_epoch, int) and steps % self.steps_per_epoch == 0:
            state = by_group(
                self.method.end_epoch, state, len(balanced.carried.groups)
            )  # may raise: nothing changed yet
        vars(self).update(now, state=state)
        for name in balanced.skipped:
            self.counts[f"skipped {name}"] += 1
        if weighed is None:
            self.counts["propagated" if self.settings.nonfinite == "propagate" else "empty"] += 1
        else:
            self.counts["reused" if balanced.reused else weighed.status.name] += 1
        if balanced.again:
            self.counts["products again in float64"] += 1

    def _each_group(self, move: Callable[[State], State]) -> State:
        return by_group(move, self.state, len(self.carried.groups))
