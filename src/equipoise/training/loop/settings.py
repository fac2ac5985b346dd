"""The arguments of `equipoise.fit`: checked all at once, and written down as a configuration."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from ..._version import __version__
from ...core.numbers import is_whole
from ...core.records.fit_runs import FitConfig
from ...core.tasks import Preference
from ...errors import SettingError
from ...methods.base import Method
from ...methods.loss import Averaged
from ..problem.problem import Problem
from ..problem.sources import Items, Loader
from .clipping import Clip
from .feeding import Feed
from .selection import MeanLoss, Selection

__all__ = ["Settings", "describe", "make_optimizer", "settle"]

Optimizer = torch.optim.Optimizer
_BALANCER = ("gradients", "granularity", "heads", "memory_limit", "mode", "nonfinite", "scale", "value")
_AMP = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, eq=False)
class Settings:
    """Arguments of `fit` that were checked; see there."""

    steps: int | None = None
    epochs: int | None = None
    batch_size: int | None = 256
    optimizer: Callable[..., Optimizer] | None = None
    schedule: Callable[[float], float] | None = None
    scheduler: Callable[[Optimizer], Any] | None = None
    scheduler_per: Literal["step", "epoch", "evaluation"] = "step"
    select: Selection | Literal["auto"] | None = "auto"
    every: int | None = None
    patience: int | None = None
    clip: Clip | None = None
    amp: str | torch.dtype | None = None
    seed: int = 0
    preference: Preference | None = None
    balancer: Mapping[str, Any] = field(default_factory=dict)
    save_seconds: float = 30.0


def settle(problem: Problem, method: Method, asked: Settings) -> tuple[Selection | None, torch.dtype | None]:
    """Check everything that can be checked before anything is built.

    Returns:
        The selection rule and the type of autocast.

    Raises:
        SettingError: All that is wrong, at once.
    """
    wrong = [] if isinstance(method, Method) else [f"method={method!r} (an instance, such as eq.CAGrad(c=0.4))"]
    for name in ("steps", "epochs", "batch_size", "every", "patience"):
        value = getattr(asked, name)
        wrong += [] if value is None or is_whole(value, least=1) else [f"{name}={value!r} (a whole number, at least 1)"]
    wrong += [] if is_whole(asked.seed) else [f"seed={asked.seed!r} (a whole number, at least 0)"]
    if (asked.steps is None) == (asked.epochs is None):
        wrong.append(f"steps={asked.steps!r}, epochs={asked.epochs!r} (give one of the two)")
    for name in ("optimizer", "schedule", "scheduler"):
        value = getattr(asked, name)
        wrong += [] if value is None or callable(value) else [f"{name}={value!r} (a function)"]
    if asked.schedule is not None and asked.scheduler is not None:
        wrong.append("schedule and scheduler (give one of the two)")
    if asked.scheduler_per not in ("step", "epoch", "evaluation"):
        wrong.append(f"scheduler_per={asked.scheduler_per!r} ('step', 'epoch' or 'evaluation')")
    amp = str(asked.amp).removeprefix("torch.") if asked.amp is not None else ""
    wrong += [] if not amp or amp in _AMP else [f"amp={asked.amp!r} ('bfloat16', 'float16' or None)"]
    if not isinstance(asked.save_seconds, int | float) or not asked.save_seconds >= 0:
        wrong.append(f"save_seconds={asked.save_seconds!r} (at least 0)")
    odd = sorted(set(asked.balancer) - set(_BALANCER))
    wrong += [f"balancer has {odd} (known: {list(_BALANCER)})"] if odd else []
    rule = asked.select
    if rule == "auto":
        rule = MeanLoss() if "val" in problem.sources and not isinstance(method, Averaged) else None
    elif rule is not None and not isinstance(rule, Selection):
        wrong.append(f"select={rule!r} (a rule, such as eq.MeanLoss(), or None)")
        rule = None
    if rule is not None and "val" not in problem.sources:
        wrong.append(f"select={rule!r} (the problem has no validation part: give Problem(..., val=...))")
    if rule is not None and isinstance(method, Averaged):
        wrong.append(f"select={rule!r} (the answer of {method!r} is its average of iterates: give select=None)")
    if asked.patience is not None and rule is None:
        wrong.append(f"patience={asked.patience!r} (there is no selection rule that could improve)")
    if wrong:
        raise SettingError(f"arguments of eq.fit are out of range: {'; '.join(wrong)}.")
    if rule is not None:
        rule.check(problem.tasks)
    return rule, _AMP.get(amp)


def make_optimizer(
    make: Callable[..., Optimizer] | None, model: nn.Module, trained: Sequence[nn.Parameter]
) -> Optimizer:
    """The optimizer of a model and of what its method trains, which gets a group without weight decay.

    Raises:
        SettingError: The function returned something else.
    """
    kind = make.func if isinstance(make, partial) else make
    if make is None:
        optimizer: Any = torch.optim.AdamW(model.parameters(), lr=1e-3)
    elif isinstance(kind, type) and issubclass(kind, Optimizer):
        optimizer = make(model.parameters())
    else:
        optimizer = make(model)
    if not isinstance(optimizer, Optimizer):
        raise SettingError(
            "`optimizer` must be a function of the model that returns an optimizer: optimizer=lambda model: "
            f"torch.optim.SGD(model.parameters(), lr=0.1); it returned {type(optimizer).__name__}."
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    missing = [parameter for parameter in trained if id(parameter) not in held]
    if missing:
        optimizer.add_param_group({"params": missing, "weight_decay": 0.0})
    return optimizer


def steps_in_all(asked: Settings, feed: Feed) -> tuple[int, int]:
    """Steps of the run, and steps between evaluations.

    Raises:
        SettingError: Epochs of a loader without length.
    """
    if asked.steps is not None:
        steps = int(asked.steps)
    elif feed.length is None:
        raise SettingError(
            "the training loader has no length (`__len__`), so `epochs` cannot be counted: give `steps`."
        )
    else:
        steps = int(asked.epochs or 0) * feed.length
    default = feed.length if feed.length is not None and feed.length < steps else max(1, steps // 20)
    return steps, min(steps, default if asked.every is None else int(asked.every))


def describe(
    problem: Problem,
    method: Method,
    asked: Settings,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler: Any,
    feed: Feed,
    device: torch.device,
) -> FitConfig:
    """The configuration of a run, once everything is built."""
    rule, amp = settle(problem, method, asked)
    steps, every = steps_in_all(asked, feed)
    groups = [
        {"parameters": sum(p.numel() for p in group["params"])}
        | {name: _plain(value) for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    schedule: dict[str, Any] = {}
    if asked.schedule is not None:
        schedule = {"factors": [_plain(float(asked.schedule(place / 10))) for place in range(11)]}
    elif scheduler is not None:
        entries = scheduler.state_dict().items()
        schedule = {"class": type(scheduler).__qualname__, "per": asked.scheduler_per}
        schedule |= {name: _plain(value) for name, value in entries}
    loader = isinstance(problem.sources["train"], Loader)
    clip = dict(asked.clip) if isinstance(asked.clip, Mapping) else asked.clip
    return FitConfig(
        problem=problem.name,
        tasks=problem.tasks,
        model=fingerprint(model),
        parameters=sum(p.numel() for group in optimizer.param_groups for p in group["params"]),
        data={part: _content(source) for part, source in problem.sources.items()},
        method=repr(method),
        method_class=f"{type(method).__module__}.{type(method).__qualname__}",
        preference="" if asked.preference is None else repr(asked.preference),
        balancer={name: _plain_text(value) for name, value in sorted(asked.balancer.items())},
        steps=steps,
        batch_size=None if loader or asked.batch_size is None else int(asked.batch_size),
        optimizer={"class": type(optimizer).__qualname__, "groups": groups},
        schedule=schedule,
        select="" if rule is None else repr(rule),
        every=every,
        patience=asked.patience,
        clip=None
        if clip is None
        else {k: float(v) for k, v in clip.items()}
        if isinstance(clip, dict)
        else float(clip),
        amp="" if amp is None else str(amp).removeprefix("torch."),
        seed=int(asked.seed),
        device=device.type,
        versions={"equipoise": __version__, "torch": torch.__version__},
        threads=torch.get_num_threads(),
    )


def fingerprint(model: nn.Module) -> str:
    """Hash of the names, types and shapes of a model's state."""
    text = "".join(f"{name}:{value.dtype}:{tuple(value.shape)};" for name, value in model.state_dict().items())
    return hashlib.sha256(text.encode()).hexdigest()


def _content(source: Any) -> str:
    if isinstance(source, Items):
        return f"{source.length} rows of {type(source.data).__name__}, content not looked at"
    if isinstance(source, Loader):
        return f"{source.length} batches of {type(source.data).__name__}, content not looked at"
    return f"sha256 {source.digest()}"


def _plain(value: Any) -> Any:
    """A setting as JSON holds it; what it cannot hold is named by its type."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, torch.Tensor):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return type(value).__qualname__


def _plain_text(value: Any) -> str:
    shown = _plain(value)
    return repr(value) if hasattr(value, "__dataclass_fields__") else str(shown)
