"""AdaOMD: the answer is not the last iterate but a mean of those that no other dominates."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ...errors import EquipoiseWarning, SettingError
from ..averaging.kept_iterates import Dominance, KeptIterates, Losses, Rule, check_settings
from ..base import Answer, CounterExample, LossMethod, State, Step
from ..parts.randomness import refuse_seed
from .omd_tchebycheff import OMDTchebycheff

__all__ = ["Averaged"]

_OMD = OMDTchebycheff()


@dataclass(frozen=True)
class Averaged(LossMethod):
    r"""A method whose answer is a credit-weighted mean of its iterates.

    Training is that of `method`, step for step. Beside it a keeper holds copies of the parameters:

    >>> import equipoise as eq
    >>> from torch import nn, optim
    >>> model = nn.Linear(2, 2)
    >>> method = eq.Averaged(eq.OMDTchebycheff(), rule="ada", cap=32)
    >>> keeper = method.keeper()
    >>> keeper.keep(model, {"a": 1.0, "b": 2.0})  # in the loop, before optimizer.step()
    >>> keeper.finalize(model)  # after training; with loader=... where there is batch normalisation

    For convex losses `OMDTchebycheff` guarantees the mean of its iterates; ``"ada"`` keeps that bound while moving
    credit to iterates that are better in every task. The bound, not the value, is at most the mean's: the result may be
    worse than the mean's, and the last iterate better than both. For networks the mean of parameters is a heuristic;
    ``"sample"`` is safe there, its guarantee being one in expectation.

    Shapes:
        As `method`.
    Scale:
        As `method`.
    Degenerate:
        One iterate: that iterate. See `KeptIterates` for ties and the cap.
    Errors:
        `SettingError` for settings out of range; ``"count"`` is warned about.
    Cost:
        At most `cap` copies of the model; one copy whenever an iterate is kept, and O(cap k) a step.
    Source:
        Liu et al. (2024), arXiv:2410.21764, algorithm 2 (AdaOMD); the cap and ``"sample"`` are ours.

    Args:
        method: Loss method whose iterates are averaged.
        rule: ``"ada"``, ``"mean"``, ``"sample"`` or ``"count"``.
        cap: Most copies, at least 1.
        every: Interval between kept iterates, in steps.
        dominance: ``"batch"`` or ``"evaluation"``: which losses decide.
        device: Device of the copies; None for the model's device.
        seed: Seed of the draw of ``"sample"``.

    Example:
        >>> eq.direction(Averaged(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2024), arXiv:2410.21764"
    cost: ClassVar[str] = "up to `cap` copies of the model; one copy whenever an iterate is kept"

    method: LossMethod = _OMD
    rule: Rule = "ada"
    cap: int = 32
    every: int = 1
    dominance: Dominance = "batch"
    device: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.method, LossMethod):
            raise SettingError(
                f"`Averaged(method)` takes a loss method; got {self.method!r}. For other training loops use "
                "equipoise.methods.loss.KeptIterates(rule) directly: its keep and finalize need no method."
            )
        check_settings(self.rule, self.cap, self.every, self.dominance)
        refuse_seed(self.seed)
        for name in ("state_tensors", "honours"):  # what the engine asks is answered by the inner method
            object.__setattr__(self, name, getattr(self.method, name))
        if self.rule == "count":
            warnings.warn(
                "Averaged(rule='count') counts a dominated iterate once for each that dominates it: its credits exceed "
                "the number of steps, and its mean can be worse than the plain one in theory and in practice. Use "
                "rule='ada'.",
                EquipoiseWarning,
                stacklevel=3,
            )

    def keeper(self, evaluate: Callable[[nn.Module], Losses] | None = None) -> KeptIterates:
        """A keeper with these settings, holding nothing yet.

        Args:
            evaluate: ``evaluate(model) -> losses``, required with ``dominance="evaluation"``.
        """
        return KeptIterates(
            self.rule,
            cap=self.cap,
            every=self.every,
            dominance=self.dominance,
            device=self.device,
            evaluate=evaluate,
            seed=self.seed,
        )

    @property
    def per_epoch(self) -> bool:
        return self.method.per_epoch

    def init(self, k: int, n: int = 0) -> State:
        return self.method.init(k, n)

    def end_epoch(self, state: State) -> State:
        return self.method.end_epoch(state)

    def observe(self, losses: Tensor, state: State) -> State:
        return self.method.observe(losses, state)

    def claims(self, k: int) -> frozenset[str]:
        return self.method.claims(k)

    def degree(self) -> float | None:
        return self.method.degree()

    def refutes(self) -> Mapping[str, CounterExample]:
        return self.method.refutes()

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        return self.method.scalar(losses, state, step)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        return self.method.implied_weights(losses, state, step)
