"""The object that users hold: losses in, one scalar out, `backward` as always."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .engine.balance import Balanced, Settings, balance
from .engine.inject import inject
from .engine.ownership import Ownership
from .engine.passes import Plan
from .errors import ClockError, EquipoiseError, SettingError, listed
from .losses import mean_of, read_losses
from .methods import LinearScalarization
from .methods.base import JacobianMethod, LossMethod, Method, State, Step
from .methods.run import refuse_preference
from .records import StepRecord
from .saved_state import read_state, state_keys, write_state
from .types import Preference, Tasks

__all__ = ["Balancer"]


class Balancer(nn.Module):
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
        model: Gives names to parameters, for messages and for saved states that must survive steps without all tasks.
        shared: The parameters to balance; others that several tasks reach get the mean of their gradients.
        heads: ``"own"``: a parameter of one task gets g_i/k; ``"weighted"``: a_i g_i. The method's default if None.
        scale: ``"mean"``, or ``"sum"`` to keep a learning rate tuned for the sum of the losses.
        mode: ``"inject"`` stores the direction and hands it out in `backward`; ``"recompute"`` differentiates the
            weighted sum once more (one more pass, less memory).
        nonfinite: What to do about NaN or inf in a loss or gradient: ``"raise"``, ``"skip"`` the task for this step and
            count it, or ``"propagate"`` NaN into the gradients (for a `GradScaler`), without touching the state.
        steps_per_epoch: For methods that move per epoch: an epoch ends after that many steps, or ``"manual"`` if you
            call `end_epoch`.

    Attributes:
        last: `StepRecord` of the last training step: losses, weights, Gramian, cosines, status, seconds.
        counts: How often each status occurred, by name.
        plan: How gradients were computed in the last step.
        state: What the method remembers, by name.
        trained: Parameters of the method, by name; give ``balancer.parameters()`` to the optimizer, without weight
            decay.

    Raises:
        SettingError, TaskError, LossError: Named in the messages; nothing was changed.
        NonFiniteError: With ``nonfinite="raise"``; nothing was changed.
        ClockError: A method that moves per epoch has no clock.

    Cost:
        A loss method adds a few operations on k numbers. A Gramian or Jacobian method costs (1 + 2k)/3 plain steps
        and k times the shared parameters in memory.

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
    ) -> None:
        super().__init__()
        _check_settings(method, tasks, heads, scale, mode, nonfinite, steps_per_epoch)
        self.method = method
        self.settings = Settings(heads or method.heads, scale, mode, nonfinite)
        self.steps_per_epoch = steps_per_epoch
        self.tasks: tuple[str, ...] | None = None
        self.trained = nn.ParameterDict()
        self.last: StepRecord | None = None
        self.plan = Plan("none", "no step yet", 0)
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.state: State = {}
        parameters = shared.parameters() if isinstance(shared, nn.Module) else shared
        self.ownership = Ownership(model, None if parameters is None else list(parameters))
        if tasks is not None:
            self.fix_tasks(tuple(tasks))

    def fix_tasks(self, names: tuple[str, ...]) -> None:
        """Settles the task names and starts the method's state; the first call and loading do it too."""
        Tasks(names)  # refuses doubled names
        state = self.method.init(len(names), 0) if not isinstance(self.method, JacobianMethod) else {}
        trained = {tensor.name for tensor in self.method.state_tensors if tensor.trained}
        self.trained.update({name: nn.Parameter(tensor.clone()) for name, tensor in state.items() if name in trained})
        self.state = {name: tensor for name, tensor in state.items() if name not in trained}
        self.tasks = names

    def forward(
        self,
        losses: Mapping[str, Tensor | None] | Sequence[Tensor | None],
        *,
        features: Tensor | Sequence[Tensor] | None = None,
        preference: Preference | None = None,
        retain_graph: bool = False,
    ) -> Tensor:
        """One balanced scalar.

        Args:
            losses: Scalars, by task name (any order) or in task order. None marks a task that is absent from this
                step (no labels): it is left out of the mean and of the problem, and its state stays untouched.
            features: Tensors between the shared part and the heads, if you want heads and trunk differentiated apart.
            preference: What is wanted, for methods that honour one.
            retain_graph: Keep the graph of the losses, for a loss of your own that is added afterwards.

        Returns:
            A scalar with the mean loss as value. Under `eval()` or `no_grad` just that, and nothing is touched.
        """
        if self.tasks is None and isinstance(losses, Mapping | Sequence):
            names = tuple(losses) if isinstance(losses, Mapping) else tuple(f"task{i}" for i in range(len(losses)))
        else:
            names = self.tasks or ()
        active = self.training and torch.is_grad_enabled()
        present, values = read_losses(losses, names, differentiable=active)
        if not active:
            return mean_of(values)
        _refuse_ranks(self.method)
        self._refuse_no_clock()
        refuse_preference(self.method, preference)
        if self.tasks is None:
            self.fix_tasks(names)
        began = time.perf_counter()
        numbers = torch.stack([value.detach().reshape(()).to(values[0].device).double() for value in values])
        step = Step(Tasks(names, tuple(present)), numbers, preference)
        held = (features,) if isinstance(features, Tensor) else tuple(features or ())
        balanced = balance(
            self.method,
            values,
            step,
            self._current_state(values[0].device),
            self.ownership,
            self.settings,
            held,
            retain_graph,
        )
        self._after(step, balanced, time.perf_counter() - began)
        targets = [*balanced.targets, *self._trained_targets(balanced)]
        return inject(balanced.value, [target for target, _ in targets], [gradient for _, gradient in targets])

    def _current_state(self, device: torch.device) -> State:
        return {name: tensor.to(device) for name, tensor in self.state.items()} | dict(self.trained)

    def _trained_targets(self, balanced: Balanced) -> list[tuple[Tensor, Tensor]]:
        found = {} if balanced.weighed is None else balanced.weighed.trained
        return [
            (self.trained[name], gradient.to(self.trained[name]) * balanced.factor) for name, gradient in found.items()
        ]

    def end_epoch(self) -> None:
        """Tells a method that moves per epoch that one has ended; others do not mind."""
        if self.method.per_epoch:
            if self.tasks is None:
                raise ClockError("`end_epoch` was called before the first step.")
            self.state = self.method.end_epoch(self.state)

    def observe(self, losses: Mapping[str, Tensor] | Sequence[Tensor]) -> None:
        """Shows the losses once more, after the optimizer's step, to methods that learn from the change (FAMO)."""
        if self.tasks is None:
            raise ClockError("`observe` was called before the first step.")
        present, values = read_losses(losses, self.tasks, differentiable=False)
        if len(present) != len(self.tasks):
            raise SettingError("`observe` needs the losses of all tasks.")
        numbers = torch.stack([value.detach().reshape(()).double() for value in values])
        self.state = self.method.observe(numbers, self.state)

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"{self.method!r}, tasks={self.tasks}, {self.settings}"

    # ------------------------------------------------------------------------------------------------ one step

    def _after(self, step: Step, balanced: Balanced, seconds: float) -> None:
        for name in balanced.skipped:
            self.counts[f"skipped {name}"] += 1
        self.plan = balanced.plan
        if balanced.weighed is None:
            self.counts["propagated" if self.settings.nonfinite == "propagate" else "empty"] += 1
        else:
            self.state = {
                name: tensor.detach() for name, tensor in balanced.weighed.state.items() if name not in self.trained
            }
            self.counts[balanced.weighed.status.name] += 1
            self.last = StepRecord(balanced.tasks, balanced.losses, balanced.weighed, balanced.gramian, seconds)
        self.steps += 1
        if isinstance(self.steps_per_epoch, int) and self.steps % self.steps_per_epoch == 0:
            self.end_epoch()

    def _refuse_no_clock(self) -> None:
        if self.method.per_epoch and self.steps_per_epoch is None:
            raise ClockError(
                f"{self.method!r} moves per epoch and needs to know when one ends. Build it with "
                "eq.Balancer(..., steps_per_epoch=len(loader)), or steps_per_epoch='manual' and call "
                "balancer.end_epoch() after each epoch."
            )

    # ------------------------------------------------------------------------------------------ saved states

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        write_state(self, destination, prefix)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        read_state(self, state_dict, prefix)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        ours = state_keys(self, prefix)
        unexpected_keys[:] = [key for key in unexpected_keys if key not in ours]


def _check_settings(
    method: object, tasks: object, heads: object, scale: object, mode: object, nonfinite: object, epoch: object
) -> None:
    if isinstance(method, type) and issubclass(method, Method):
        raise SettingError(f"`method` must be an instance: eq.Balancer(eq.{method.__name__}()).")
    if not isinstance(method, Method):
        raise SettingError(f"`method` must be a method, for example eq.MGDA(); got {method!r}.")
    if method.trains and tasks is None:
        raise SettingError(
            f"{method!r} trains parameters, which the optimizer must know from the start: give tasks=('...', '...')."
        )
    choices = {
        "heads": (heads, (None, "own", "weighted")),
        "scale": (scale, ("mean", "sum")),
        "mode": (mode, ("inject", "recompute")),
        "nonfinite": (nonfinite, ("raise", "skip", "propagate")),
    }
    wrong = [
        f"{name}={value!r} (one of {listed(allowed)})"
        for name, (value, allowed) in choices.items()
        if value not in allowed
    ]
    if not (epoch is None or epoch == "manual" or (isinstance(epoch, int) and epoch >= 1)):
        wrong.append(f"steps_per_epoch={epoch!r} (a positive integer, 'manual', or None)")
    if isinstance(method, LossMethod) and heads == "own":
        wrong.append("heads='own' (a loss method weights every parameter; leave it out)")
    if wrong:
        raise SettingError(f"these settings cannot be used: {'; '.join(wrong)}.")


def _refuse_ranks(method: Method) -> None:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return
    if isinstance(method, LinearScalarization):  # its weights do not depend on what a rank has seen
        return
    raise EquipoiseError(
        f"{method!r} on {distributed.get_world_size()} ranks: this version does not merge gradients over ranks, so "
        "each rank would follow weights of its own. Use LinearScalarization, or one rank."
    )
