"""The configuration of a recorded training, read from its Balancer."""

from typing import Literal

import torch

from ..._version import __version__
from ...balancer import Balancer
from ...core.records.training import Kind, TrainingConfig
from ...methods.base import GramianMethod, JacobianMethod

__all__ = ["describe_training"]

_STEPS_PER_PASS = 150
"""A measurement is k backward passes and a Gramian, measured at 0.8 k steps: one in 150 k steps costs about 0.5 %."""


def describe_training(
    balancer: Balancer, tasks: tuple[str, ...], every: int, gradients: int | Literal["auto"] | None
) -> tuple[TrainingConfig, int | None]:
    """A training's configuration, and the steps between measurements of gradients.

    These are a multiple of `every`, or None for never. The configuration names the latter for loss methods only, since
    the others compute the gradients anyway.
    """
    method = balancer.method
    kind: Kind = "loss method"
    if isinstance(method, JacobianMethod):
        kind = "Jacobian method"
    elif isinstance(method, GramianMethod):
        kind = "Gramian method"
    wanted = _STEPS_PER_PASS * len(tasks) if isinstance(gradients, str) else gradients
    measured = None if wanted is None else -(-wanted // every) * every
    config = TrainingConfig(
        method=repr(method),
        method_class=f"{type(method).__module__}.{type(method).__qualname__}",
        kind=kind,
        tasks=tasks,
        heads=balancer.settings.heads,
        scale=balancer.settings.scale,
        nonfinite=balancer.settings.nonfinite,
        every=every,
        gradients=measured if kind == "loss method" else None,
        metric="" if balancer.settings.metric is None else repr(balancer.settings.metric),
        versions={"equipoise": __version__, "torch": torch.__version__},
    )
    return config, measured
