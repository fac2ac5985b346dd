"""Methods of other packages in the form that the examination takes: one step from a Jacobian to a direction."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...methods.base import Answer, JacobianMethod, Method, State, Step

__all__ = ["TASKS", "UNIFORM", "WAYS", "Foreign"]

TASKS = "number of tasks"
"""As the value of a setting: the number of tasks of the step."""
UNIFORM = "equal weights"
"""As the value of a setting: a tensor of k weights 1/k."""


@dataclass(frozen=True)
class Foreign(JacobianMethod):
    """A method of another package, as it acts in its first step.

    A fresh object of theirs is made for every step, in float64 and with fixed seeds of Python's and PyTorch's
    generators, so that nothing of one step is seen in the next.

    Attributes:
        way: Name of the function in `WAYS` that calls the package.
        target: Their object as ``module:attribute``.
        ours: The method of our table with the same name and settings; its claims are what is examined.
        settings: Settings of theirs that are not defaults, as pairs; `TASKS` and `UNIFORM` are filled in a step.
        summed: Whether their direction is a sum over tasks where ours is a mean; it is divided by k.
        not_claimed: Laws that ours claims and their source does not.
        independent: Whether the source defines the method for linearly independent gradients only.
        note: Cause of what was found, from reading and running their code.
    """

    source: ClassVar[str] = "the package that ships it"
    cost: ClassVar[str] = "unknown"
    way: str
    target: str
    ours: Method
    settings: tuple[tuple[str, Any], ...] = ()
    summed: bool = False
    not_claimed: frozenset[str] = field(default_factory=frozenset)
    independent: bool = False
    note: str = ""

    def __repr__(self) -> str:
        return self.target

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        """What their object returns for the Jacobian and the losses of the step."""
        module, _, attribute = self.target.partition(":")
        k = len(jacobian)
        losses = torch.ones(k, dtype=torch.float64) if step.losses is None else step.losses
        fill = {TASKS: k, UNIFORM: torch.full((k,), 1 / k, dtype=torch.float64)}
        settings = {name: fill[value] if value in (TASKS, UNIFORM) else value for name, value in self.settings}
        before, numbers = torch.get_default_dtype(), random.getstate()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            random.seed(0)
            torch.set_default_dtype(torch.float64)
            try:
                theirs = getattr(import_module(module), attribute)
                found = WAYS[self.way](theirs, settings, jacobian.clone(), losses.clone())
            finally:
                torch.set_default_dtype(before)
                random.setstate(numbers)
        return Answer(found.detach().to(jacobian) / (k if self.summed else 1), state)

    def claims(self, k: int) -> frozenset[str]:
        """The laws that ours claims for two tasks and more, without those that their source does not."""
        left_out = self.not_claimed | {"single", "simplex"} | ({"unanimity"} if self.independent else set())
        return frozenset() if k == 1 else self.ours.claims(k) - left_out

    def degree(self) -> float | None:
        """That of ours."""
        return self.ours.degree()


def _leaf(jacobian: Tensor, losses: Tensor) -> tuple[nn.Parameter, Tensor]:
    """A parameter x = 0 and losses L + J x: their values and gradients are those asked for."""
    x = nn.Parameter(torch.zeros(jacobian.shape[1], dtype=jacobian.dtype))
    return x, losses + jacobian @ x


def _gradient(scalar: Tensor, x: nn.Parameter) -> Tensor:
    return torch.autograd.grad(scalar.sum(), x)[0]


def _of_matrix(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """An object that is called with the Jacobian (TorchJD's aggregators)."""
    found: Tensor = theirs(**settings)(jacobian)
    return found


def _of_losses(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """An object that is called with the losses and gives a scalar (TorchJD's scalarizers)."""
    x, values = _leaf(jacobian, losses)
    return _gradient(theirs(**settings)(values), x)


def _conflictfree(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    found: Tensor = theirs(**settings).calculate_gradient(jacobian)
    return found


def _ludwig(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """`create_loss_balancer`, called with losses by name and their static weights."""
    x, values = _leaf(jacobian, losses)
    names = [f"t{i}" for i in range(len(values))]
    balancer = theirs(output_feature_names=names, **settings)
    return _gradient(balancer(dict(zip(names, values, strict=True)), dict.fromkeys(names, 1.0)), x)


def _pina(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """A weighting, given what it reads of a solver (which sets itself like this): the parameters and the epoch."""
    x, values = _leaf(jacobian, losses)
    weighting = theirs(**settings)
    model = nn.Module()
    model.x = x
    weighting._solver = SimpleNamespace(model=model, trainer=SimpleNamespace(current_epoch=0))
    return _gradient(weighting.aggregate({f"t{i}": value for i, value in enumerate(values)}), x)


def _libmtl(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """A weighting, mixed with a model that has what its trainer gives it."""

    class Model(theirs):  # type: ignore[misc]
        def __init__(self, k: int) -> None:
            super().__init__()
            self.task_num, self.task_name, self.rep_grad = k, [f"t{i}" for i in range(k)], False
            self.device, self.epoch = torch.device("cpu"), 0
            self.x, _ = _leaf(jacobian, losses)
            self.init_param()

        def get_share_params(self) -> list[nn.Parameter]:
            return [self.x]

        def zero_grad_share_params(self) -> None:
            assert self.x.grad is not None
            self.x.grad.zero_()

    model = Model(len(losses))
    model.backward(losses + jacobian @ model.x, **settings)
    assert model.x.grad is not None
    return model.x.grad


def _metabalance(theirs: Any, settings: dict[str, Any], jacobian: Tensor, losses: Tensor) -> Tensor:
    """Torch-RecHub's optimizer: its step leaves the balanced gradient in ``.grad``."""
    x, values = _leaf(jacobian, losses)
    theirs([x], **settings).step(list(values))
    assert x.grad is not None
    return x.grad


WAYS: MappingProxyType[str, Callable[[Any, dict[str, Any], Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "matrix": _of_matrix,
        "losses": _of_losses,
        "conflictfree": _conflictfree,
        "ludwig": _ludwig,
        "pina": _pina,
        "libmtl": _libmtl,
        "metabalance": _metabalance,
    }
)
"""How an object of another package is called: (their object, settings, Jacobian, losses) -> direction."""
