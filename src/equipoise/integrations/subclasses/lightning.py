"""The callback that `lightning_callback` returns."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from ...balancer import Balancer
from ...errors import SettingError, StateError, listed
from ..step_numbers import numbers_of_step

__all__ = ["BalancerCallback"]


class BalancerCallback(Callback):  # type: ignore[misc]
    """Keeps a Balancer in step with a Lightning Trainer; see `lightning_callback`."""

    def __init__(self, balancer: Balancer | None, *, accumulate: bool, log: bool) -> None:
        self._given, self._accumulate, self._log = balancer, accumulate, log
        self._found: Balancer | None = None
        self._outside = False
        self._hook: Any = None
        self._logged: object = None
        self._ends = self._loaded = False

    @property
    def balancer(self) -> Balancer:
        """The Balancer that this callback keeps in step."""
        found = self._found or self._given
        if found is None:
            raise SettingError("the callback looks for the Balancer when trainer.fit(...) begins: call that first.")
        return found

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the Balancer, before a checkpoint is loaded."""
        if stage != "fit":
            return
        inside = {name: module for name, module in pl_module.named_modules() if isinstance(module, Balancer)}
        if self._given is None and len(inside) != 1:
            raise SettingError(
                f"lightning_callback() looks for one Balancer in {type(pl_module).__name__} and found "
                f"{listed(inside) or 'none'}: name it, with eq.integrations.lightning_callback(module.balancer)."
            )
        self._found = self._given if self._given is not None else next(iter(inside.values()))
        self._outside = not any(module is self._found for module in inside.values())
        strategy = type(trainer.strategy).__name__
        if "DeepSpeed" in strategy and self._found.method.needs != "losses":
            raise SettingError(
                f"{self._found.method!r} reads gradients, and {strategy} keeps them in its engine: use strategy='ddp', "
                "or a method on losses."
            )
        if self._outside:
            self._found.to(trainer.strategy.root_device)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to watch the Balancer's calls."""
        if self._outside and trainer.ckpt_path and not self._loaded and self.balancer.method.state_tensors:
            raise StateError(
                f"{trainer.ckpt_path!r} holds no state of the Balancer, because it was saved without this callback, "
                f"and {self.balancer.method!r} would begin anew. Make the Balancer an attribute of the LightningModule "
                "before you save, or load the weights by hand and fit without ckpt_path."
            )

        def before(balancer: nn.Module, values: Any, keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            if self._outside:
                balancer.train(pl_module.training)
            if balancer.accumulation is not None and balancer.training:
                keywords = {"flush": self._ends, **keywords}
            return values, keywords

        self._hook = self.balancer.register_forward_pre_hook(before, with_kwargs=True)
        if self.balancer.steps_per_epoch is None:
            self.balancer.steps_per_epoch = "manual"

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Follow the number of micro-batches, which may change between epochs, and see whether the optimizer steps."""
        del pl_module, batch
        now, steps = self.balancer.accumulation, trainer.accumulate_grad_batches
        if self._accumulate and steps != (1 if now is None else now.steps):
            self.balancer.accumulate(steps, divided=True)
        last = trainer.is_last_batch or batch_idx + 1 == trainer.num_training_batches
        self._ends = last or (batch_idx + 1) % steps == 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the balance, if this batch ended one."""
        del trainer, outputs, batch, batch_idx
        last = self.balancer.last
        if not self._log or last is None or last is self._logged:
            return
        self._logged = last
        pl_module.log_dict(numbers_of_step(last))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch of a method that moves per epoch."""
        del trainer, pl_module
        if self.balancer.steps_per_epoch == "manual":
            self.balancer.end_epoch()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let the Balancer go; micro-batches that still wait are forgotten."""
        del trainer, pl_module, exception
        if self._found is not None:
            self._found.discard()
        self._let_go()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the Balancer go."""
        del trainer, pl_module, stage
        self._let_go()

    def _let_go(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
            if self._accumulate and not self.balancer.waiting:
                self.balancer.accumulate(1)

    def state_dict(self) -> dict[str, Any]:
        """State of a Balancer that is no part of the LightningModule."""
        return {"balancer": self.balancer.state_dict()} if self._outside else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave."""
        self._loaded = True
        if self._outside:
            self.balancer.load_state_dict(state_dict["balancer"])
