"""K models of one structure that take their steps together: vectorized, or one by one where that cannot be."""

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...errors import EquipoiseError, SettingError
from ...methods.averaging.batch_norm import layers_with_statistics
from ..loop.settings import make_optimizer
from ..problem.problem import Problem
from ..problem.sources import Batch
from ..problem.trees import leaves, mapped
from .fixed_shapes import WithLosses

__all__ = ["Copies", "make_copies", "values_of"]

Make = Callable[..., torch.optim.Optimizer] | None

_ELEMENTWISE = {
    getattr(torch.optim, name)
    for name in ("ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
}
"""Optimizers that treat each number for itself, so that stacked parameters move as separate ones do."""
_CLOSE = 1e-4
"""Largest relative difference between stacked and separate losses in a trial: rounding, but nothing else."""


class Copies(ABC):
    """K models, their optimizer, and their losses.

    Attributes:
        models: The K models, always with their present parameters.
        reason: Why they are not stacked; empty if they are.
    """

    models: list[nn.Module]
    reason: str

    @property
    @abstractmethod
    def trained(self) -> list[nn.Parameter]:
        """The tensors that are differentiated: of all models together, or of one after another."""

    @abstractmethod
    def losses(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Differentiable losses (K, k), float64, and which tasks are present (K, k).

        Args:
            batches: One batch for all models, or one a model, of equal sizes.
        """

    @abstractmethod
    def step(self, losses: Tensor, weights: Tensor) -> None:
        """One optimizer step of each model down its own weighted losses; both (K, k)."""

    @abstractmethod
    def restart(self, values: Tensor) -> None:
        """Go on from other parameters (K, n), see `values_of`, with an optimizer that remembers nothing."""

    @abstractmethod
    def set_rates(self, rates: Sequence[float]) -> None:
        """Learning rate of each parameter group."""

    @property
    @abstractmethod
    def rates(self) -> list[float]:
        """Learning rate of each parameter group."""

    def values(self) -> Tensor:
        """Parameters and floating-point buffers of all models, (K, n), copied."""
        return torch.stack([values_of(model) for model in self.models])


def make_copies(problem: Problem, models: list[nn.Module], optimizer: Make, trial: Sequence[Batch]) -> Copies:
    """Models that take their steps together, stacked wherever that gives the same result.

    Args:
        problem: Losses and the way to call the models.
        models: K models of one structure, on one device; their parameters are taken over.
        optimizer: Function of a model that returns its optimizer, as for `equipoise.fit`.
        trial: Batches on which a stacked pass is compared with separate ones; nothing is changed by it.
    """
    made = make_optimizer(optimizer, models[0], [])
    reason = _why_not(problem, models, made, trial)
    if reason:
        return _Apart(problem, models, optimizer, reason)
    return _Stacked(problem, models, made)


class _Stacked(Copies):
    """Parameters of all models on a first axis; each model's own parameters are views of its slice."""

    def __init__(self, problem: Problem, models: list[nn.Module], made: torch.optim.Optimizer) -> None:
        self.models, self.reason = models, ""
        self._template = WithLosses(problem, copy.deepcopy(models[0]))
        self._template.train()
        self._held, self._buffers = _stack(models)
        for name, stacked in [*self._held.items(), *self._buffers.items()]:
            for slice_, model in zip(stacked.data.unbind(), models, strict=True):
                owner, _, last = name.rpartition(".")
                getattr(model.get_submodule(owner), last).data = slice_
        names = {id(parameter): name for name, parameter in models[0].named_parameters()}
        groups = [
            {**group, "params": [self._held[names[id(one)]] for one in group["params"]]} for group in made.param_groups
        ]
        kind: Any = type(made)  # its groups hold all its settings
        self._optimizer: torch.optim.Optimizer = kind(groups)

    @property
    def trained(self) -> list[nn.Parameter]:
        return [parameter for parameter in self._held.values() if parameter.requires_grad]

    def losses(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        return _together(self._template, {**self._held, **self._buffers}, batches)

    def step(self, losses: Tensor, weights: Tensor) -> None:
        self._optimizer.zero_grad()
        torch.autograd.backward([(losses * weights).sum()])
        self._optimizer.step()

    def restart(self, values: Tensor) -> None:
        for model, row in zip(self.models, values, strict=True):
            put_values(model, row)
        self._optimizer.state.clear()

    def set_rates(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self._optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    @property
    def rates(self) -> list[float]:
        return [float(group["lr"]) for group in self._optimizer.param_groups]


class _Apart(Copies):
    """Models that take each step one after another."""

    def __init__(self, problem: Problem, models: list[nn.Module], optimizer: Make, reason: str) -> None:
        self.models, self.reason = models, reason
        self._problem = problem
        self._optimizers = [make_optimizer(optimizer, model, []) for model in models]
        for model in models:
            model.train()

    @property
    def trained(self) -> list[nn.Parameter]:
        return [parameter for model in self.models for parameter in model.parameters() if parameter.requires_grad]

    def losses(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        return _one_by_one(self._problem, self.models, batches)

    def step(self, losses: Tensor, weights: Tensor) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        torch.autograd.backward([(losses * weights).sum()])
        for optimizer in self._optimizers:
            optimizer.step()

    def restart(self, values: Tensor) -> None:
        for model, row, optimizer in zip(self.models, values, self._optimizers, strict=True):
            put_values(model, row)
            optimizer.state.clear()

    def set_rates(self, rates: Sequence[float]) -> None:
        for optimizer in self._optimizers:
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    @property
    def rates(self) -> list[float]:
        return [float(group["lr"]) for group in self._optimizers[0].param_groups]


def values_of(model: nn.Module) -> Tensor:
    """Parameters and then floating-point buffers as one vector (n,), copied; float32, or float64 if one is."""
    held = [value.detach() for value in _held_by(model)]
    wide = torch.float64 if any(value.dtype == torch.float64 for value in held) else torch.float32
    return torch.cat([value.reshape(-1).to(wide) for value in held])


def put_values(model: nn.Module, values: Tensor) -> None:
    """Put back what `values_of` returned."""
    place = 0
    with torch.no_grad():
        for held in _held_by(model):
            held.copy_(values[place : place + held.numel()].reshape(held.shape))
            place += held.numel()


def _held_by(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *(buffer for buffer in model.buffers() if buffer.is_floating_point())]


def _stack(models: Sequence[nn.Module]) -> tuple[dict[str, nn.Parameter], dict[str, Tensor]]:
    """Parameters and buffers of the models by name, on a new first axis."""
    parts = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    parameters = {
        name: nn.Parameter(torch.stack([part[name].detach() for part in parts]), requires_grad=first.requires_grad)
        for name, first in parts[0].items()
    }
    return parameters, {name: torch.stack([part[name] for part in buffers]) for name in buffers[0]}


def _together(template: WithLosses, named: dict[str, Any], batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    first = batches[0]

    named = {f"model.{name}": value for name, value in named.items()}

    def one(values: dict[str, Any], data: Any) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = functional_call(template, values, (data, first))
        return found

    if len(batches) == 1:
        losses, present = torch.func.vmap(one, in_dims=(0, None), randomness="error")(named, first.data)
    else:
        parts = zip(*([leaf for _, leaf in leaves(batch.data)] for batch in batches), strict=True)
        stacked = iter([torch.stack(part) for part in parts])
        data = mapped(first.data, lambda _: next(stacked))
        losses, present = torch.func.vmap(one, in_dims=(0, 0), randomness="error")(named, data)
    return losses, present


def _one_by_one(problem: Problem, models: Sequence[nn.Module], batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
    rows, present = [], []
    for number, model in enumerate(models):
        batch = batches[number if len(batches) > 1 else 0]
        found = list(problem.losses_of(problem.outputs(model, batch.data), batch).values())
        device = next(model.parameters()).device
        absent = torch.zeros((), dtype=torch.float64, device=device)
        rows.append(torch.stack([absent if loss is None else loss.double() for loss in found]))
        present.append(torch.tensor([loss is not None for loss in found], device=device))
    return torch.stack(rows), torch.stack(present)


def _why_not(problem: Problem, models: list[nn.Module], made: torch.optim.Optimizer, batches: Sequence[Batch]) -> str:
    """Why models cannot be stacked, or nothing: found by trying."""
    first = models[0]
    if not any(parameter.is_floating_point() for parameter in first.parameters()):
        raise SettingError("the model must have parameters that can be trained; it has none.")
    if type(made) not in _ELEMENTWISE:
        return f"{type(made).__name__} is not known to treat each number for itself"
    shapes = [{name: (value.shape, value.dtype) for name, value in model.state_dict().items()} for model in models]
    if any(shape != shapes[0] for shape in shapes):
        return "the models differ in the names, shapes or types of their parameters and buffers"
    sizes = {tuple(leaf.shape for _, leaf in leaves(batch.data) if isinstance(leaf, Tensor)) for batch in batches}
    if len(sizes) > 1:
        return "the batches of the models differ in size"
    norms = list(layers_with_statistics(first))
    if norms:
        return f"batch normalisation ('{norms[0]}') keeps running statistics of each model"
    some = [copy.deepcopy(model).train() for model in models[:2]]
    trial = batches[:2] if len(batches) > 1 else batches
    with torch.no_grad(), torch.random.fork_rng():
        template = WithLosses(problem, copy.deepcopy(some[0]))
        held, buffers = _stack(some)
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                stacked, present = _together(template, {**held, **buffers}, trial)
        except (EquipoiseError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, Warning) as error:
            return _in_words(error)
        if any(not torch.equal(buffer, before[name]) for name, buffer in buffers.items()):
            return "the model changes its buffers in a forward pass"
        alone, there = _one_by_one(problem, some, trial)
    if not torch.equal(present, there):
        return "stacked, other tasks are present than one after another"
    apart = ((stacked - alone).abs() / (alone.abs() + 1e-12)).nan_to_num().max()
    if float(apart) > _CLOSE:
        return f"stacked losses differ from separate ones by {float(apart):.1g}"
    return ""


def _in_words(error: Exception) -> str:
    text = str(error).strip()
    if "random operation" in text:
        return "the model or a loss draws random numbers, such as dropout"
    if "data-dependent control flow" in text or ".item()" in text:
        return "the model or a loss branches on values of tensors"
    return f"torch.func.vmap refuses the model or a loss: {(text.splitlines() or [type(error).__name__])[0]}"
