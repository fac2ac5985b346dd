"""Lightning: a callback beside the one line in ``training_step``."""

from typing import Any

from ..balancer import Balancer
from ..core.optional import needed
from ..errors import SettingError

__all__ = ["lightning_callback"]


def lightning_callback(balancer: Balancer | None = None, *, accumulate: bool = True, log: bool = True) -> Any:
    """A Lightning callback that keeps a Balancer in step with the Trainer, under automatic optimization.

    ``training_step`` returns ``self.balancer(losses)`` and nothing else changes. The callback

    * balances the micro-batches of one optimizer step together (``accumulate_grad_batches``, a
      ``GradientAccumulationScheduler`` too), and a shorter last window of an epoch as it stands;
    * ends the epochs of methods that move per epoch;
    * logs ``loss/<task>`` and ``weight/<task>`` of every balance that Lightning logs;
    * saves and loads a Balancer that is no part of the LightningModule. One that is (``self.balancer = ...``) is saved
      with the module's weights.

    Without the callback each micro-batch is balanced for itself, and the directions are averaged.

    Args:
        balancer: Balancer that ``training_step`` calls; the one that is found in the LightningModule if None.
        accumulate: Whether the micro-batches of one optimizer step are balanced together. With False each is balanced
            for itself, which is a different direction, and needed for gradients that cannot be accumulated
            (`Features`, `Every`, `LastLayer`).
        log: Whether losses and weights are logged.

    Returns:
        A ``lightning.pytorch.Callback``, for ``Trainer(callbacks=[...])``.

    Raises:
        SettingError: Lightning is not installed. When the fit begins: no Balancer or several were found, or the
            strategy is DeepSpeed, whose gradients a method on gradients cannot read.

    Cost:
        Logging copies 2k numbers a balance and does not wait for the device.
    """
    needed("lightning.pytorch", "eq.integrations.lightning_callback", "lightning", "equipoise[lightning]")
    if balancer is not None and not isinstance(balancer, Balancer):
        raise SettingError(f"`balancer` must be an eq.Balancer or None; got {balancer!r}.")
    from .subclasses.lightning import BalancerCallback  # noqa: PLC0415 - it imports Lightning

    return BalancerCallback(balancer, accumulate=accumulate, log=log)
