"""Refuse settings of a Balancer that cannot be used, all of them at once."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from torch import Tensor, distributed, nn

from ..engine.modes import Exact, Mode, refuse_mode
from ..engine.sources.dispatch import Settings
from ..engine.sources.optimizer_metric import OptimizerMetric
from ..errors import InputError, SettingError, listed
from ..methods.base import GramianMethod, JacobianMethod, LossMethod, Method
from .optimizers.line_search import refuse_value

__all__ = [
    "check_settings",
    "read_metric",
    "read_shared",
    "refuse_accumulation",
    "refuse_second_batch",
    "refuse_transform",
]

_CHOICES: Mapping[str, tuple[object, ...]] = {
    "heads": (None, "own", "weighted"),
    "scale": ("mean", "sum"),
    "value": (None, "mean", "weighted"),
    "mode": ("inject", "recompute"),
    "nonfinite": ("raise", "skip", "propagate"),
    "granularity": ("model", "module", "tensor"),
}


def check_settings(method: object, tasks: object, model: object, given: Mapping[str, Any]) -> None:
    """Raises `SettingError` for a Balancer that cannot work.

    Args:
        method: The object given as `method`.
        tasks: Task names or None.
        model: The model or None.
        given: All other settings by name.
    """
    if isinstance(method, type) and issubclass(method, Method):
        raise SettingError(f"`method` must be an instance: eq.Balancer(eq.{method.__name__}()).")
    if not isinstance(method, Method):
        raise SettingError(f"`method` must be a method, for example eq.MGDA(); got {method!r}.")
    if method.trains and tasks is None:
        raise SettingError(
            f"{method!r} trains parameters, which the optimizer must know from the start: give tasks=('...', '...')."
        )
    wrong = [
        f"{name}={given[name]!r} (one of {listed(allowed)})"
        for name, allowed in _CHOICES.items()
        if not (given[name] is None or isinstance(given[name], str)) or given[name] not in allowed
    ]
    epoch, limit = given["steps_per_epoch"], given["memory_limit"]
    if not (epoch is None or epoch == "manual" or (isinstance(epoch, int) and epoch >= 1)):
        wrong.append(f"steps_per_epoch={epoch!r} (a positive integer, 'manual', or None)")
    if not (limit is None or (isinstance(limit, int | float) and limit > 0)):
        wrong.append(f"memory_limit={limit!r} (bytes, positive; float('inf') for no limit; None for what is free)")
    group, every = given["process_group"], given["check_replicas"]
    if not (group in (None, "none") or (distributed.is_available() and isinstance(group, distributed.ProcessGroup))):
        wrong.append(f"process_group={group!r} (a group of torch.distributed, None for all ranks, or 'none')")
    if isinstance(every, bool) or not isinstance(every, int) or every < 0:
        wrong.append(f"check_replicas={every!r} (a number of steps, or 0 for no test)")
    if given["value"] == "weighted" and (found := refuse_value(method, given)):
        wrong.append(f"value='weighted' ({'; '.join(found)})")
    if isinstance(method, LossMethod) and given["heads"] == "own":
        wrong.append("heads='own' (a loss method weights every parameter; leave it out)")
    if isinstance(method, JacobianMethod) and given["heads"] == "weighted":
        name = type(method).__name__
        wrong.append(f"heads='weighted' ({name} gives a direction, not one weight a task; leave it out)")
    if isinstance(method, JacobianMethod) and given["mode"] == "recompute":
        wrong.append(
            "mode='recompute' (it differentiates a weighted sum, and a Jacobian method gives a direction; leave it out)"
        )
    wrong += [complaint for complaint in [refuse_mode(given["gradients"], method)] if complaint]
    if given["metric"] is not None:
        wrong += _in_metric(method, given)
    if given["granularity"] in {"module", "tensor"}:
        wrong += _granular(method, model, given)
    if wrong:
        raise SettingError(f"these settings cannot be used: {'; '.join(wrong)}.")


def _in_metric(method: Method, given: Mapping[str, Any]) -> list[str]:
    name, wrong = type(method).__name__, []
    if not isinstance(method, GramianMethod) or method.needs == "features":
        wrong.append(f"{name} is not a method on the Gramian of the parameters' gradients")
    if not isinstance(given["gradients"], Exact):
        wrong.append(f"gradients={given['gradients']!r} forms no gradients that could be scaled: use eq.Exact()")
    if given["granularity"] != "model":
        wrong.append("it is one metric for the whole model: use granularity='model'")
    return [f"metric= ({'; '.join(wrong)}; leave it out otherwise)"] if wrong else []


def _granular(method: Method, model: object, given: Mapping[str, Any]) -> list[str]:
    granularity, name = given["granularity"], type(method).__name__
    wrong = []
    if not isinstance(method, GramianMethod) or method.needs == "features":
        wrong.append(f"{name} is not a method on the Gramian of the parameters' gradients")
    if method.trains:
        wrong.append(f"{name} trains one set of parameters, not one a {granularity}")
    if (given["heads"] or method.heads) == "weighted":
        wrong.append(f"heads='weighted' needs one weight a task, not one a {granularity}: use heads='own'")
    if not isinstance(given["gradients"], Mode) or given["gradients"].single:
        wrong.append(f"gradients={given['gradients']!r} gives one set of weights: use eq.Exact()")
    if given["mode"] == "recompute":
        wrong.append("mode='recompute' differentiates one weighted sum: use mode='inject'")
    if granularity == "module" and model is None:
        wrong.append("modules are told apart by their names: give model=")
    return [f"granularity='{granularity}' ({'; '.join(wrong)})"] if wrong else []


def read_metric(metric: object) -> OptimizerMetric | None:
    """The metric of an optimizer, None for none; raises `SettingError` for anything but Adam and AdamW."""
    return None if metric is None else OptimizerMetric(metric)  # type: ignore[arg-type]


def read_shared(shared: nn.Module | Iterable[Tensor] | None) -> list[Tensor] | None:
    """The declared shared parameters.

    Raises:
        SettingError: Something is no tensor, or is listed twice.
    """
    if shared is None:
        return None
    parameters = list(shared.parameters() if isinstance(shared, nn.Module) else shared)
    wrong = [f"number {i} is {type(entry).__name__}" for i, entry in enumerate(parameters) if not _is_leaf(entry)]
    first: dict[int, int] = {}
    for number, entry in enumerate(parameters):
        if id(entry) in first:
            wrong.append(f"number {number} is number {first[id(entry)]} once more (shape {tuple(entry.shape)})")
        first.setdefault(id(entry), number)
    if wrong or not parameters:
        raise SettingError(
            "`shared` must hold each parameter once, as a module or as parameters; "
            f"{'; '.join(wrong) or 'it is empty'}."
        )
    return parameters


def refuse_accumulation(steps: object, method: Method, settings: Settings) -> None:
    """Raises `SettingError` where micro-batches cannot be accumulated."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise SettingError(f"`accumulate(steps)` needs a whole number of at least 1; got {steps!r}.")
    if steps > 1 and settings.value == "weighted":
        raise SettingError(
            "value='weighted' cannot be accumulated over micro-batches: the value of one of them is not that of the "
            "window. Use one big batch, or value='mean'."
        )
    if steps > 1 and (method.needs == "features" or not settings.gradients.accumulates):
        who = repr(method) if method.needs == "features" else f"gradients={settings.gradients!r}"
        raise SettingError(
            f"{who} cannot be accumulated over micro-batches: use gradients=eq.Exact() or eq.Sketch(s), or one big "
            "batch."
        )


def refuse_second_batch(method: Method, settings: Settings, accumulates: bool) -> None:
    """Raises `SettingError` where a second batch cannot be used."""
    why = ""
    if not isinstance(method, GramianMethod) or not method.samples_twice:
        why = f"{method!r} does not use a second batch"
    elif settings.gradients.single:
        why = f"`second` needs gradients=eq.Exact(); got {settings.gradients!r}"
    elif settings.granularity != "model":
        why = f"`second` needs granularity='model'; got '{settings.granularity}'"
    elif settings.metric is not None:
        why = "`second` has no Gramian of one batch that metric= could measure"
    elif accumulates:
        why = "`second` cannot be used within `accumulate`"
    if why:
        raise SettingError(f"{why}: leave `second` out.")


def _is_leaf(entry: object) -> bool:
    return isinstance(entry, Tensor) and entry.is_leaf


def refuse_transform() -> NoReturn:
    """Raises for a call inside a `torch.func` transform."""
    raise InputError(
        "a Balancer cannot be called inside torch.func.grad, vjp, jacrev, hessian or vmap: it runs backward passes "
        "of its own and reads numbers, and these transforms allow neither. Make the parameters leaves "
        "(w.requires_grad_()) and call torch.autograd.grad(balancer(losses), w)."
    )
