"""PINA: a weighting scheme for physics-informed networks."""

from typing import Any

from ..balancer import Balancer
from ..core.optional import needed
from ..errors import SettingError

__all__ = ["pina_weighting"]


def pina_weighting(balancer: Balancer) -> Any:
    """A weighting of PINA whose aggregated loss is a Balancer's.

    .. code-block:: python

        balancer = eq.Balancer(eq.ConFIG(), scale="sum")  # PINA adds losses up
        solver = PINN(problem, model, weighting=eq.integrations.pina_weighting(balancer))
        trainer = Trainer(solver, callbacks=[eq.integrations.lightning_callback(balancer)])

    The tasks are PINA's conditions. Without the callback of Lightning, which PINA trains with, nothing is logged,
    saved, or told of epochs. PINA's ``update_every_n_epochs`` is ``gradients=eq.Every(steps)`` here.

    Args:
        balancer: Balancer that makes the loss of each batch.

    Returns:
        A ``pina.weighting.BaseWeighting`` (``pina.loss.WeightingInterface`` before PINA 0.3.2).

    Raises:
        SettingError: PINA is not installed (``pip install pina-mathlab``).
    """
    needed("pina", "eq.integrations.pina_weighting", "PINA", "pina-mathlab")
    if not isinstance(balancer, Balancer):
        raise SettingError(f"`balancer` must be an eq.Balancer; got {balancer!r}.")
    from .subclasses.pina import BalancerWeighting  # noqa: PLC0415 - it imports PINA

    return BalancerWeighting(balancer)
