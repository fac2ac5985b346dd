"""Hugging Face: a mixin for the ``Trainer`` of Transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..balancer import Balancer
from ..core.optional import needed
from ..errors import LossError, SettingError, StateError
from .step_numbers import numbers_of_step

__all__ = ["BalancedTrainer"]

_FILE = "balancer.safetensors"


class BalancedTrainer:
    """Mixin for the Transformers ``Trainer``: a Balancer makes the loss of each step from the losses of the tasks.

    .. code-block:: python

        class MyTrainer(eq.integrations.BalancedTrainer, Trainer):
            def compute_losses(self, model, inputs, num_items_in_batch=None):
                outputs = model(inputs["x"])
                return {"depth": loss_1(outputs, inputs), "normals": loss_2(outputs, inputs)}, outputs

        trainer = MyTrainer(model, args, train_dataset=..., balancer=eq.Balancer(eq.CAGrad(c=0.4)))

    A model whose output holds ``losses`` (a mapping by task name) needs no `compute_losses`.

    The log gets ``loss/<task>`` and ``weight/<task>``, means since the last log; evaluations get ``eval_loss/<task>``,
    which can be a ``metric_for_best_model``. Checkpoints hold the Balancer in ``balancer.safetensors``. Parameters that
    a method trains join the Trainer's optimizer, without weight decay. Epochs are ended for methods that move per
    epoch.

    **Accumulation.** The micro-batches of one optimizer step are balanced together; a shorter last window of an epoch
    as it stands. Losses are means over their micro-batch unless you say otherwise. With
    ``loss_is_scaled_for_ga = True`` your `compute_losses` divides sums by ``num_items_in_batch``, the number of items
    in the whole window, as Transformers does for language models; the Trainer counts the items in ``labels``.

    Args:
        balancer: Balancer that makes the loss of each step.
        accumulate: Whether the micro-batches of one optimizer step are balanced together. With False each is balanced
            for itself, which is a different direction, and needed for gradients that cannot be accumulated
            (`Features`, `Every`, `LastLayer`).
        arguments: Positional arguments of the Trainer.
        more: Further arguments of the Trainer.

    Raises:
        SettingError: The Trainer uses DataParallel or DeepSpeed, or its optimizer lacks parameters that the method
            trains.
        LossError: There are no losses by task.
        StateError: A checkpoint holds no Balancer.

    Tested with Transformers 5.23.
    """

    loss_is_scaled_for_ga: bool | None = False
    balancer: Balancer

    if TYPE_CHECKING:  # the Trainer's
        args: Any
        accelerator: Any
        optimizer: Any
        gather_function: Any
        current_gradient_accumulation_steps: int

    def __init__(self, *arguments: Any, balancer: Balancer, accumulate: bool = True, **more: Any) -> None:
        if not isinstance(balancer, Balancer):
            raise SettingError(f"`balancer` must be an eq.Balancer; got {balancer!r}.")
        self.balancer, self._accumulate = balancer, accumulate
        self._sums: dict[str, tuple[Tensor, int]] = {}
        self._names: tuple[str, ...] = ()
        self._evaluated: Tensor | None = None
        self._evaluations: list[Tensor] = []
        super().__init__(*arguments, **more)
        wrong = []
        if self.args.n_gpu > 1:
            wrong.append(
                f"DataParallel over {self.args.n_gpu} GPUs: start one process per GPU with torchrun, or set "
                "CUDA_VISIBLE_DEVICES to one of them"
            )
        if getattr(self, "is_deepspeed_enabled", False) and balancer.method.needs != "losses":
            wrong.append(f"DeepSpeed, whose engine keeps the gradients that {balancer.method!r} reads: use DDP")
        if wrong:
            raise SettingError(f"a balanced Trainer cannot use {'; nor '.join(wrong)}.")
        # what the Trainer decides from the model's signature is known here: who divides, and whether items are counted
        self.model_accepts_loss_kwargs = bool(self.loss_is_scaled_for_ga)
        if balancer.steps_per_epoch is None:
            balancer.steps_per_epoch = "manual"
        balancer.to(self.args.device)
        self.add_callback(_callback(balancer))  # type: ignore[attr-defined]

    def compute_losses(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> Mapping[str, Tensor | None] | tuple[Mapping[str, Tensor | None], Any]:
        """The losses of one micro-batch; override it.

        Args:
            model: Model in its wrapping, to be called.
            inputs: Batch on the model's device.
            num_items_in_batch: Number of items with labels in the whole window, over all processes; None unless
                `loss_is_scaled_for_ga`.

        Returns:
            Scalars by task name, None for an absent task; or a pair of these and the model's output, which evaluation
            hands to ``compute_metrics``.
        """
        del num_items_in_batch
        outputs = model(**inputs)
        losses = outputs.get("losses") if isinstance(outputs, Mapping) else None
        if losses is None:
            raise LossError(
                f"the output of {type(model).__name__} must hold `losses`, a mapping from task name to loss; found "
                f"{list(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__}. Return them from the "
                "model, or override compute_losses(self, model, inputs, num_items_in_batch=None)."
            )
        return losses, {name: value for name, value in outputs.items() if name != "losses"}

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The balanced loss; called by the Trainer."""
        found = self.compute_losses(model, inputs, num_items_in_batch)
        losses, outputs = found if isinstance(found, tuple) else (found, {})
        if not isinstance(losses, Mapping):
            raise LossError(
                "compute_losses must return the losses by task name, or a pair of these and the model's output; got "
                f"{type(losses).__name__}. Type return {{'depth': loss_1, 'normals': loss_2}}, outputs"
            )
        self.balancer.train(model.training)
        if model.training and torch.is_grad_enabled():
            loss = self._balanced(dict(losses), num_items_in_batch)
        else:
            loss = self.balancer(losses)
            self._names = self.balancer.tasks or tuple(losses)
            ordered = [losses[name] for name in self._names]
            numbers = [torch.nan if value is None else float(value) for value in ordered]
            self._evaluated = torch.tensor(numbers, device=loss.device, dtype=torch.float64)
        return (loss, outputs) if return_outputs else loss

    def _balanced(self, losses: dict[str, Tensor | None], items: Any) -> Tensor:
        balancer = self.balancer
        steps = self.args.gradient_accumulation_steps if self._accumulate else 1
        if steps != (1 if balancer.accumulation is None else balancer.accumulation.steps):
            balancer.accumulate(steps, divided=True)
        # sums over the window were divided by its number of items: their mean over micro-batches needs them back
        window = self.current_gradient_accumulation_steps if self.loss_is_scaled_for_ga and steps > 1 else 1
        ranks = self.accelerator.num_processes if self._averages_over_ranks(items) else 1
        if window * ranks > 1:
            losses = {name: None if loss is None else loss * (window * ranks) for name, loss in losses.items()}
        before = balancer.last
        scalar: Tensor = balancer(losses, flush=self.accelerator.sync_gradients)
        for name, loss in losses.items():
            if loss is not None:
                self._note(f"loss/{name}", loss)
        if balancer.last is not None and balancer.last is not before:
            for key, value in numbers_of_step(balancer.last).items():
                if key.startswith("weight/"):
                    self._note(key, value)
        return scalar / window if window > 1 else scalar

    def _averages_over_ranks(self, items: Any) -> bool:
        """Whether the number of items is one of all processes, whose gradients will be averaged, not summed."""
        return bool(self.loss_is_scaled_for_ga and items is not None and self.args.average_tokens_across_devices)

    def _note(self, key: str, value: Tensor) -> None:
        total, count = self._sums.get(key, (torch.zeros((), dtype=torch.float64, device=value.device), 0))
        self._sums[key] = (total + value.detach().double(), count + 1)

    # ------------------------------------------------------------------------------------------------------- log

    def log(self, logs: dict[str, float], *arguments: Any, **more: Any) -> None:
        """Add the means since the last log to a training log."""
        if "loss" in logs and self._sums:
            keys = [f"{table}/{task}" for table in ("loss", "weight") for task in self.balancer.tasks or ()]
            rows = [self._sums.get(key, (0.0, 0)) for key in keys]
            table = torch.tensor([[float(total), count] for total, count in rows], dtype=torch.float64)
            sums = self.accelerator.reduce(table.to(self.args.device), "sum")
            logs |= {key: total / count for key, (total, count) in zip(keys, sums.tolist(), strict=True) if count}
            self._sums.clear()
        super().log(logs, *arguments, **more)  # type: ignore[misc]

    def prediction_step(self, model: nn.Module, inputs: dict[str, Any], *arguments: Any, **more: Any) -> Any:
        """The Trainer's, and the losses of the batch."""
        from transformers.trainer_pt_utils import find_batch_size  # noqa: PLC0415 - only a Trainer comes here

        rows, self._evaluated = find_batch_size(inputs), None
        found = super().prediction_step(model, inputs, *arguments, **more)  # type: ignore[misc]
        if self._evaluated is not None:
            self._evaluations.append(self.gather_function(self._evaluated.repeat(rows or 1, 1)).cpu())
        return found

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """The Trainer's, and the mean loss of each task over the rows."""
        self._evaluations.clear()
        found = super().evaluation_loop(  # type: ignore[misc]
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        if self._evaluations and found.metrics is not None:
            means = torch.cat(self._evaluations).nanmean(dim=0).tolist()
            named = zip(self._names, means, strict=True)
            found.metrics.update({f"{metric_key_prefix}_loss/{name}": mean for name, mean in named})
        self._evaluations.clear()
        return found

    # ------------------------------------------------------------------------------------- optimizer, checkpoints

    def create_optimizer(self, *arguments: Any, **more: Any) -> Any:
        """The Trainer's, with the parameters that the method trains."""
        given = self.optimizer is not None
        optimizer = super().create_optimizer(*arguments, **more)  # type: ignore[misc]
        known = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        missing = [parameter for parameter in self.balancer.parameters() if id(parameter) not in known]
        if missing and given:
            raise SettingError(
                f"{self.balancer.method!r} trains {len(missing)} parameters that the optimizer does not have: build it "
                "with [*model.parameters(), *balancer.parameters()], the latter without weight decay."
            )
        if missing:
            optimizer.add_param_group({"params": missing, "weight_decay": 0.0})
        return optimizer

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
        if self.args.should_save:
            save_file(self.balancer.state_dict(), Path(output_dir) / _FILE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is None:
            return
        path = Path(checkpoint) / _FILE
        if not path.is_file():
            raise StateError(
                f"{str(path)!r} must hold the Balancer and is missing: the checkpoint was saved by another Trainer. "
                "Begin anew with the model's weights, without resume_from_checkpoint."
            )
        self.balancer.load_state_dict(load_file(path))


def _callback(balancer: Balancer) -> Any:
    base = needed("transformers", "BalancedTrainer", "transformers", "equipoise[transformers]").TrainerCallback

    class Beside(base):  # type: ignore[misc, valid-type]
        """Ends the epochs of a Balancer, and clears gradients of its parameters, as the Trainer does for the model's.

        What waits when a training stops early is forgotten.
        """

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            del args, state, control, others
            balancer.zero_grad()

        def on_epoch_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            del args, state, control, others
            if balancer.steps_per_epoch == "manual" and balancer.steps:
                balancer.end_epoch()

        def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            del args, state, control, others
            balancer.discard()

        def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            del args, state, control, others
            balancer.discard()

    return Beside()
