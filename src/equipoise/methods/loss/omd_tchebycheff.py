"""Tchebycheff as a game: the weights climb towards the worst loss while the model descends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ...core.tasks import PerTask, freeze_per_task
from ...errors import SettingError
from ...solve.simplex import project_to_simplex
from ..base import Answer, CounterExample, State, StateTensor, Step, WeightedSum
from ..parts.domain import is_positive
from .linear_scalarization import preference_factors, refuse_negative

__all__ = ["OMDTchebycheff"]

_LARGEST = 1e300
_DUST = 64 * torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class OMDTchebycheff(WeightedSum):
    r"""Online mirror descent on the Tchebycheff criterion.

    The step at time t descends :math:`\sum_i \lambda_i k w_i L_i` with the OLD dual weights; then

    .. math:: \lambda_i \leftarrow \lambda_i \exp(\eta\, k w_i L_i) \Big/ \sum_j \lambda_j \exp(\eta\, k w_j L_j)
              \quad\text{or}\quad \lambda \leftarrow \Pi_\Delta(\lambda + \eta\, k w \circ L)

    with lambda on the simplex (1/k at the start), w the preference, eta the step size and :math:`\Pi_\Delta` the
    Euclidean projection. For convex losses in [0, U], model steps of size :math:`D/(\Lambda\sqrt T)` (D the diameter
    of the model's domain, Lambda a bound of the gradients) and :math:`\eta = \sqrt{8 \ln k / T}/U`, the MEAN of the T
    iterates (`Averaged`) is within :math:`(D \Lambda + U\sqrt{\ln k / 2})/\sqrt T` of the best Tchebycheff value. The
    last iterate has no such bound.

    Shapes:
        losses (k,) -> scalar; state ``dual`` (k,): log lambda (``exponentiated``) or lambda (``gradient``).
    Scale:
        Implied weights lambda_i k w_i; their sum is 1 for equal preference.
    Degenerate:
        k = 1: the loss itself. Tasks absent from a step keep their share of lambda; the present ones share the rest.
        A large eta times loss puts all weight on one task, as the formula says; nothing overflows.
    Cost:
        O(k); ``gradient`` sorts k numbers on the CPU.
    Source:
        Liu et al. (2024), arXiv:2410.21764, algorithm 1. We differ: the preference is multiplied by k (for equal
        weights 1/k their losses are k times smaller; divide their eta by k).

    Args:
        weights: Preference, non-negative; None for 1/k each.
        step_size: eta > 0, per unit of loss. 0.03 to 1 for losses near 1; O(1/sqrt(T)) for the bound.
        dual: Update of the dual weights, ``"exponentiated"`` or ``"gradient"``.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(OMDTchebycheff(), [[1.0, 0.0], [0.0, 1.0]], losses=[3.0, 2.0])  # the first step is the mean
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Liu et al. (2024), arXiv:2410.21764"
    cost: ClassVar[str] = "O(k)"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (StateTensor("dual"),)

    weights: PerTask | None = None
    step_size: float = 0.1
    dual: Literal["exponentiated", "gradient"] = "exponentiated"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        refuse_negative(self.weights, "OMDTchebycheff(weights)")
        if not is_positive(self.step_size):
            raise SettingError(f"`step_size` must be positive and finite; got {self.step_size!r}.")
        if self.dual not in ("exponentiated", "gradient"):
            raise SettingError(f"`dual` must be 'exponentiated' or 'gradient'; got {self.dual!r}.")

    def init(self, k: int, n: int = 0) -> State:
        del n
        uniform = torch.full((k,), 1 / k, dtype=torch.float64)
        return {"dual": uniform.log() if self.dual == "exponentiated" else uniform}

    def claims(self, k: int) -> frozenset[str]:
        if self.weights is not None:
            return frozenset()
        return super().claims(k)

    def degree(self) -> None:
        return None

    def refutes(self) -> Mapping[str, CounterExample]:
        return {} if self.weights is not None else super().refutes()

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        factors = preference_factors(self.weights, step.tasks, losses)
        dual = state["dual"]
        climbed = (dual + self.step_size * (factors * losses)).clamp(-_LARGEST, _LARGEST)  # no inf, and so no NaN
        if self.dual == "exponentiated":
            current, after = torch.softmax(dual, dim=0), torch.log_softmax(climbed, dim=0)
            if len(losses) < len(step.tasks.names):  # the present tasks' part of the simplex stays theirs
                after = (after + torch.logsumexp(dual, dim=0)).clamp(min=-_LARGEST)
        else:
            mass = dual.sum()
            current, after = torch.full_like(dual, 1 / len(dual)), dual
            if mass > _DUST:  # a present group that has lost all its weight, up to rounding, has equal shares
                current = dual / mass
                after = torch.from_numpy(project_to_simplex(climbed.cpu().numpy(), float(mass))).to(dual)
        return Answer(current * factors, {"dual": after})
