"""torchjd: its aggregators and scalarizers as methods here, methods of ours as its weightings."""

import copy
import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..core.optional import needed
from ..errors import SettingError
from ..methods.base import Answer, GramianMethod, JacobianMethod, LossMethod, Method, State, StateTensor, Step
from ..methods.parts.randomness import RANDOM_STATE, generator_of, initial_random, refuse_seed

__all__ = ["from_torchjd", "to_torchjd"]

_COST = "whatever torchjd's solver takes"
_ABSENT = object()


def from_torchjd(module: Any, *, seed: int = 0) -> Method:
    """An aggregator or scalarizer of torchjd as a method, for `Balancer`, `equipoise.fit` and everything else here.

    The method computes what torchjd computes, in float64; it claims no laws. torchjd reports no status, so a step
    counts as ``SOLVED`` where it returned finite numbers. Random modules draw from a seed and the number of the step,
    so they resume, and neither read nor move PyTorch's global generator.

    Args:
        module: Instance of a ``torchjd.aggregation.Aggregator`` or a ``torchjd.scalarization.Scalarizer``. It is
            copied; later changes to it have no effect. A weighting goes into an aggregator first,
            ``GramianWeightedAggregator(weighting)``.
        seed: Seed of random modules.

    Returns:
        A Gramian method for a ``GramianWeightedAggregator``, a Jacobian method for other aggregators, a loss method for
        a scalarizer. It prints as the call that makes it.

    Raises:
        SettingError: torchjd is not installed; the module remembers earlier steps (torchjd's ``Stateful``), which would
            be lost in a checkpoint; a setting cannot be written as text.

    Example:
        >>> import equipoise as eq
        >>> from torchjd.aggregation import AlignedMTL
        >>> method = eq.from_torchjd(AlignedMTL(scale_mode="median"))
        >>> method
        from_torchjd(AlignedMTL(pref_vector=None, scale_mode='median'))
        >>> eq.weights(method, [[4.0, 0.0], [0.0, 1.0]])
        tensor([0.2500, 0.5000], dtype=torch.float64)
    """
    who = "eq.from_torchjd"
    aggregation = needed("torchjd.aggregation", who, "torchjd", "equipoise[bench]")
    scalarization = needed("torchjd.scalarization", who, "torchjd", "equipoise[bench]")
    refuse_seed(seed)
    if isinstance(module, aggregation.Weighting):
        raise SettingError(
            f"{module!r} is a weighting; say what it weighs: eq.from_torchjd(GramianWeightedAggregator(weighting)), or "
            "WeightedAggregator(weighting) where it looks at the Jacobian."
        )
    if not isinstance(module, aggregation.Aggregator | scalarization.Scalarizer):
        raise SettingError(
            "eq.from_torchjd takes an instance of a torchjd Aggregator or Scalarizer, for example UPGrad(); got "
            f"{module!r}."
        )
    stateful = needed("torchjd", who, "torchjd", "equipoise[bench]").Stateful
    remembers = [type(part).__name__ for part in module.modules() if isinstance(part, stateful)]
    if remembers:
        raise SettingError(
            f"{remembers[0]} of torchjd remembers earlier steps in a way that no checkpoint of ours holds: use the "
            "method of ours instead (`equipoise methods` lists them), which saves its state."
        )
    kind: type[_Gramian | _Jacobian | _Scalar] = _Jacobian
    if isinstance(module, aggregation.GramianWeightedAggregator):
        kind = _Gramian
    elif isinstance(module, scalarization.Scalarizer):
        kind = _Scalar
    return kind(_written(module), seed, _in_float64(copy.deepcopy(module)))


def to_torchjd(method: Method) -> Any:
    """A method of ours as a torchjd module, with our solvers, for code that is written around torchjd.

    Args:
        method: A method without trained parameters.

    Returns:
        For a Gramian method a ``torchjd.aggregation.Weighting``: Gramian -> weights, as its autogram engine uses it;
        ``GramianWeightedAggregator(weighting)`` makes an aggregator of it. For a Jacobian method an ``Aggregator``, for
        a loss method a ``Scalarizer``. A method with memory keeps it in the module, whose ``state_dict`` holds it;
        ``reset()`` forgets it and ``end_epoch()`` ends an epoch.

    Raises:
        SettingError: torchjd is not installed; the method trains parameters or needs gradients at features.
        LossError: When called: the method looks at losses, which torchjd does not pass on.

    Example:
        >>> import torch, equipoise as eq
        >>> weighting = eq.integrations.to_torchjd(eq.MGDA())
        >>> weighting(torch.tensor([[4.0, 0.0], [0.0, 1.0]]))
        tensor([0.2000, 0.8000])
    """
    needed("torchjd.aggregation", "eq.integrations.to_torchjd", "torchjd", "equipoise[bench]")
    if not isinstance(method, GramianMethod | JacobianMethod | LossMethod):
        raise SettingError(f"to_torchjd takes an instance of a method, for example eq.MGDA(); got {method!r}.")
    if method.trains or method.needs == "features":
        why = "trains parameters" if method.trains else "looks at gradients at the features"
        raise SettingError(f"{method!r} {why}, which torchjd's modules cannot express: use eq.Balancer({method!r}).")
    from .subclasses.torchjd import module_of  # noqa: PLC0415 - it imports torchjd

    return module_of(method)


def _in_float64(module: nn.Module) -> nn.Module:
    """The module with its settings in float64; torchjd keeps some as plain attributes, which ``double()`` misses."""
    for part in module.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                vars(part)[name] = value.double()
    return module.double()


def _written(value: Any) -> str:
    """A module or one of its settings as the text of the call that makes it, numbers in full."""
    if isinstance(value, Tensor):
        return f"tensor({value.tolist()})"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    kind = type(value)
    if callable(value) and hasattr(value, "__qualname__") and "<" not in value.__qualname__:
        return f"{value.__module__}.{value.__qualname__}"
    holders = [value, getattr(value, "weighting", None)]  # an aggregator may leave a setting with its weighting
    names = () if inspect.isroutine(value) else tuple(inspect.signature(kind).parameters)
    found = {name: next((getattr(h, name) for h in holders if hasattr(h, name)), _ABSENT) for name in names}
    if inspect.isroutine(value) or any(setting is _ABSENT for setting in found.values()):
        raise SettingError(
            f"{value!r} cannot be written as the call that made it, and a method is known by that: use functions of "
            "modules, and classes that keep every argument as an attribute of the same name."
        )
    return f"{kind.__name__}({', '.join(f'{name}={_written(setting)}' for name, setting in found.items())})"


@dataclass(frozen=True, repr=False)
class _Theirs(Method):
    """A module of torchjd, known by its text."""

    text: str
    seed: int
    module: nn.Module = field(compare=False)

    source: ClassVar[str] = "torchjd"
    cost: ClassVar[str] = _COST
    state_tensors: ClassVar[tuple[StateTensor, ...]] = RANDOM_STATE

    def __repr__(self) -> str:
        return f"from_torchjd({self.text}{f', seed={self.seed}' if self.seed else ''})"

    def init(self, k: int, n: int = 0) -> State:
        """The state before the first step: the seed and the number of steps."""
        del k, n
        return initial_random(self.seed)

    def _answer(self, state: State, module: nn.Module, value: Tensor) -> Answer:
        """What the module makes of a tensor, with the random numbers of this step."""
        generator, after = generator_of(state)
        number = int(generator.integers(2**62))
        devices = [value.device] if value.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.default_generator.manual_seed(number)
            if devices:
                with torch.cuda.device(value.device):
                    torch.cuda.manual_seed(number)
            return Answer(module(value), after)


class _Gramian(_Theirs, GramianMethod):
    """A ``GramianWeightedAggregator``."""

    @property
    def leaves_out_zero_gradients(self) -> bool:
        """No: torchjd sees what there is."""
        return False

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        """Weights of the tasks."""
        del step
        weighting: Any = self.module.gramian_weighting
        return self._answer(state, weighting, gramian)


class _Jacobian(_Theirs, JacobianMethod):
    """Another ``Aggregator``."""

    def direction(self, jacobian: Tensor, state: State, step: Step) -> Answer:
        """The direction."""
        del step
        return self._answer(state, self.module, jacobian)


class _Scalar(_Theirs, LossMethod):
    """A ``Scalarizer``."""

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        """The scalar to descend."""
        del step
        return self._answer(state, self.module, losses)
