"""What an optimizer's step does to each loss: the tasks' gradients, multiplied with the change of the parameters."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from ...core.records.training import MOST_NAMED, TakenStep
from ...engine.blocks.part import Kept
from ...engine.blocks.task_gradients import Gradients
from ...engine.graph.hooks import ours
from ...engine.reals import reals
from .gradient_probe import numbers

__all__ = ["StepProbe", "slopes_along"]


def slopes_along(source: Gradients, step: Callable[[Tensor], Tensor | None]) -> tuple[Tensor, Tensor] | None:
    r"""Inner products :math:`\langle g_i, \Delta\theta \rangle`: the first-order change of each loss by a step.

    Args:
        source: Gradients of the k tasks.
        step: Function from a parameter to its change, of its shape; None where it did not change.

    Returns:
        Over the shared parameters and over all of them, each (k,), float64, on the CPU. None where the gradients
        themselves are not kept: sketches, gradients of one layer or of the features, passes in pieces.
    """
    if not source.mixed or not all(isinstance(part, Kept) for part in source.parts):
        return None
    shared = torch.zeros(source.count, dtype=torch.float64)
    for part in source.parts:
        assert isinstance(part, Kept)
        moved = [step(parameter) for parameter in part.parameters]
        pairs = zip(part.parameters, moved, strict=True)
        products = part.along([torch.zeros_like(leaf) if block is None else block for leaf, block in pairs])
        if products is None:
            return None
        shared += products.cpu()
    everywhere = shared.clone()
    for leaf, rows in source.own:
        block = step(leaf)
        if block is not None:
            for row, gradient in rows:
                everywhere[row] += (reals(gradient).double() @ reals(block).double()).cpu()
    return shared * 2.0**-source.power, everywhere * 2.0**-source.power


class StepProbe:
    """Watches one step: copies parameters, waits for the optimizers that move them, compares.

    Args:
        step: Number of the step.
        leaves: Parameters that the losses reach.
        rows: Numbers of the tasks that the gradients belong to.
        source: Gradients of these tasks; None where they are not at hand.
        name_of: Function from a parameter to its name.
        k: Number of all tasks.

    Attributes:
        seconds: Time that the probe has taken so far.
    """

    def __init__(
        self,
        step: int,
        leaves: Sequence[Tensor],
        rows: Sequence[int],
        source: Gradients | None,
        name_of: Callable[[Tensor], str],
        k: int,
    ) -> None:
        began = time.perf_counter()
        self._step, self._rows, self._source, self._name_of, self._k = step, rows, source, name_of, k
        wide = {id(leaf): torch.promote_types(leaf.dtype, torch.float32) for leaf in leaves}
        self._before = {id(leaf): leaf.detach().to(wide[id(leaf)], copy=True) for leaf in leaves}
        self._leaves = {id(leaf): leaf for leaf in leaves}
        self._moved: dict[int, Tensor] = {}
        self._pushed: dict[int, Tensor] = {}  # whether there was a gradient, read only where nothing moved
        self._names: list[str] = []
        self._done: TakenStep | None = None
        self.seconds = time.perf_counter() - began
        # a hook of ours: others make the engine look for hooks on the losses' graph, and take another way
        self._hook = ours(register_optimizer_step_post_hook, self._stepped)

    def _stepped(self, optimizer: Optimizer, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
        """After the step of any optimizer: the change of the parameters that are its own."""
        del arguments, keywords
        if torch.compiler.is_compiling():
            return
        began = time.perf_counter()
        mine = {id(leaf) for group in optimizer.param_groups for leaf in group["params"]} & self._before.keys()
        mine -= self._moved.keys()
        if mine:
            if not self._names:  # gradients are those of this step until somebody sets them to zero
                self._pushed = {
                    key: torch.count_nonzero(leaf.grad) for key, leaf in self._leaves.items() if leaf.grad is not None
                }
            self._names.append(type(optimizer).__name__)
            for key in mine:
                self._moved[key] = self._difference(key)
        self.seconds += time.perf_counter() - began
        if mine and len(self._moved) == len(self._before):
            self._finish()

    def _difference(self, key: int) -> Tensor:
        before = self._before[key]
        return torch.sub(self._leaves[key].detach().to(before.dtype), before, out=before)

    def result(self) -> TakenStep | None:
        """What was measured; None where no optimizer with one of the parameters has stepped. Ends the probe."""
        self._hook.remove()
        if self._done is None and self._names:
            self._finish()
        return self._done

    def _finish(self) -> None:
        """Computes the result and lets go of the gradients and the copies."""
        began = time.perf_counter()
        for key in self._before.keys() - self._moved.keys():  # no optimizer that we saw has them
            self._moved[key] = self._difference(key)
        products = None if self._source is None else slopes_along(self._source, lambda leaf: self._moved.get(id(leaf)))
        keys = [key for key in self._leaves if key in self._pushed]
        stood = [((self._pushed[key] > 0) & (torch.count_nonzero(self._moved[key]) == 0)).cpu() for key in keys]
        flags = torch.stack(stood).tolist() if stood else []
        still = [self._leaves[key] for key, flag in zip(keys, flags, strict=True) if flag]
        self.seconds += time.perf_counter() - began
        self._done = TakenStep(
            step=self._step,
            optimizers=tuple(self._names),
            shared=None if products is None else numbers(products[0].numpy(), self._rows, self._k),
            everywhere=None if products is None else numbers(products[1].numpy(), self._rows, self._k),
            looked_at=len(keys),
            still=len(still),
            still_names=tuple(self._name_of(leaf) for leaf in still[:MOST_NAMED]),
            seconds=round(self.seconds, 7),
        )
        self._source, self._before, self._moved, self._leaves, self._pushed = None, {}, {}, {}, {}
