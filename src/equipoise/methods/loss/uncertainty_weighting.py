"""Learned noise levels: each task is divided by a variance that training finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ...errors import SettingError, TaskError, listed
from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import refuse_losses

__all__ = ["UncertaintyWeighting", "scaled_cross_entropy"]

Kind = Literal["regression", "classification", "likelihood"]


@dataclass(frozen=True)
class UncertaintyWeighting(LossMethod):
    r"""Negative log-likelihood with a learned variance a task.

    .. math:: \sum_i \phi_i, \qquad
        \phi_i = \begin{cases}
            L_i / (2 s_i^2) + \log s_i & \text{regression (L the mean squared error)} \\
            L_i / s_i^2 + \log s_i & \text{classification (L the cross-entropy; an approximation)} \\
            L_i & \text{likelihood (L already holds } s_i \text{)}
        \end{cases}

    The trained parameter is ``log_variance`` :math:`= \log s_i^2`, zero at the start. The classification form is
    Kendall's usual approximation of the scaled softmax; for the exact likelihood compute the loss with
    `scaled_cross_entropy(logits, target, balancer.trained["log_variance"][i])` and declare the task ``"likelihood"``.

    Shapes:
        losses (k,) -> scalar; trained state ``log_variance`` (k,).
    Scale:
        A sum, not a mean, as published: equal regression tasks at the start get weight 1/2 each. The value of the
        criterion may be negative and is not comparable between runs; the Balancer reports the mean loss instead.
    Degenerate:
        A loss of 0 drives its variance to 0 and its weight up without bound. k = 1 keeps the factor 1/2.
    Errors:
        `LossError` for a negative loss (but of a ``"likelihood"`` task): the criterion has no minimum in the variance.
    Cost:
        None; k parameters to train. Give them to the optimizer in a group of their own without weight decay:
        ``{"params": balancer.parameters(), "weight_decay": 0.0}``.
    Source:
        Kendall, Gal & Cipolla (2018), arXiv:1705.07115, eqs. 7 and 10.

    Args:
        kinds: ``{"task": "regression" | "classification" | "likelihood"}``, or one word for all tasks.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(UncertaintyWeighting(), [[2.0, 0.0], [0.0, 2.0]], losses=[1.0, 1.0])
        tensor([1., 1.], dtype=torch.float64)
    """

    source: ClassVar[str] = "Kendall, Gal & Cipolla (2018), arXiv:1705.07115"
    cost: ClassVar[str] = "none; k trained parameters"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("log_variance", trained=True),)

    kinds: Mapping[str, Kind] | tuple[tuple[str, Kind], ...] | Kind = "regression"

    def __post_init__(self) -> None:
        kinds = self.kinds
        if not isinstance(kinds, str):
            try:
                kinds = tuple(sorted(dict(kinds).items()))
            except (TypeError, ValueError) as error:
                raise SettingError(f"`kinds` must be one word, or one by task name; got {kinds!r}.") from error
            object.__setattr__(self, "kinds", kinds)
        named = [("every task", kinds)] if isinstance(kinds, str) else list(kinds)
        bad = [f"{name}: {kind!r}" for name, kind in named if kind not in get_args(Kind)]
        if bad or not named:
            raise SettingError(f"`kinds` must be one of {listed(get_args(Kind))}; got {', '.join(bad) or kinds!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        return {"log_variance": torch.zeros(k, dtype=torch.float32)}

    def claims(self, k: int) -> frozenset[str]:
        del k
        return frozenset({"degree", "permutation"} if isinstance(self.kinds, str) else {"degree"})

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.kinds != "regression":
            return {}
        pair = CounterExample(((3.0, 0.0), (-1.0, 1.0)))
        three = CounterExample(((1.0,), (1.0,), (1.0,)))
        return {
            "no_conflict": pair,
            "simplex": three,
            "unanimity": three,
            "single": CounterExample(((1.0,),)),
        }

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        log_variance = state["log_variance"].to(losses.dtype)
        factor, own = self._factors(losses, step)
        scaled = factor * torch.exp(-log_variance) * losses + log_variance / 2
        return Answer((scaled if own is None else torch.where(own, losses, scaled)).sum(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        factor, own = self._factors(losses, step)
        weights = factor * torch.exp(-state["log_variance"].detach().to(losses.dtype))
        slopes = 0.5 - weights * losses
        if own is not None:
            weights, slopes = torch.where(own, 1.0, weights), torch.where(own, 0.0, slopes)
        return Answer(weights, state, trained={"log_variance": slopes})

    def _factors(self, losses: Tensor, step: Step) -> tuple[Tensor, Tensor | None]:
        """(k,) one half for regression, else 1; (k,) which losses hold their variance themselves, None for none."""
        factor, own = _constants(tuple(self._kinds_of(step)), losses.device)
        refuse_losses(
            losses >= 0 if own is None else own | (losses >= 0),
            losses,
            step.tasks,
            "UncertaintyWeighting divides by a variance that it learns, so no loss may be negative",
            "kinds={task: 'likelihood'} for a log-likelihood, or LinearScalarization",
        )
        return factor, own

    def _kinds_of(self, step: Step) -> list[str]:
        if isinstance(self.kinds, str):
            return [self.kinds] * len(step.tasks.here)
        table = dict(self.kinds)
        wrong = set(table) ^ set(step.tasks.names)
        if wrong:
            raise TaskError(
                f"`kinds` must name every task once; {listed(sorted(wrong))} appear in only one of the two. "
                f"The tasks are {listed(step.tasks.names)}."
            )
        return [table[name] for name in step.tasks.here]


@lru_cache(maxsize=32)
def _constants(kinds: tuple[str, ...], device: torch.device) -> tuple[Tensor, Tensor | None]:
    factor = [0.5 if kind == "regression" else 1.0 for kind in kinds]
    own = torch.tensor([kind == "likelihood" for kind in kinds], device=device) if "likelihood" in kinds else None
    return torch.tensor(factor, dtype=torch.float64, device=device), own


def scaled_cross_entropy(logits: Tensor, target: Tensor, log_variance: Tensor) -> Tensor:
    r"""The exact likelihood of a classification task with a temperature.

    .. math:: -\frac1B \sum_b \log \operatorname{softmax}(f_b / s^2)_{y_b}

    Args:
        logits: f, (B, classes), without unit.
        target: Class numbers y, (B,).
        log_variance: log s^2, a scalar; trained.

    Returns:
        A scalar loss for a task declared ``"likelihood"``.

    Source:
        Kendall, Gal & Cipolla (2018), eq. 8.

    Example:
        >>> scaled_cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), torch.tensor(0.0))
        tensor(0.6931)
    """
    return torch.nn.functional.cross_entropy(logits * torch.exp(-log_variance), target)
