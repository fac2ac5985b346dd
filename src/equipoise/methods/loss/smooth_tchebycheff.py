"""The worst weighted loss, smoothed: a soft maximum that hardens as training goes on."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ...core.numbers import is_whole
from ...core.tasks import PerTask, freeze_per_task
from ...errors import EquipoiseWarning, SettingError
from ..base import Answer, CounterExample, LossMethod, State, StateTensor, Step
from ..parts.domain import is_non_negative, is_positive, refuse_nonpositive
from ..parts.ideal import IDEAL_STATE, Ideal, freeze_ideal, initial_ideal, measure_from_ideal, utopia_shift
from .linear_scalarization import counted, preference_factors, refuse_negative

__all__ = ["SmoothTchebycheff"]


@dataclass(frozen=True)
class SmoothTchebycheff(LossMethod):
    r"""A smooth upper bound of the Tchebycheff criterion, in one of two forms.

    ``form="plain"``, with z as in `Tchebycheff`, w the preference and R the losses' range
    (the largest span :math:`\max_t k w_i L_i - \min_t k w_i L_i` seen of any task in the step; at the very first
    step the largest :math:`|k w_i L_i|`):

    .. math:: m \log \sum_i \exp\bigl(k w_i (L_i - z_i) / m\bigr), \qquad
              m = \mu_e R, \quad \mu_e = \mu\, (\mu_{\mathrm{final}} / \mu)^{\min(e / \mathrm{anneal}, 1)}

    in epoch e. Its value lies between the Tchebycheff value and that plus m log k.

    ``form="log"``, the published recipe for training: epochs 0 to `warmup` minimise the mean of
    :math:`\log(k w_i L_i)`; each task's mean loss over epoch number `warmup` is its nadir; from then on

    .. math:: \mu \log \sum_i \exp\bigl(\log (k w_i L_i / \mathrm{nadir}_i) / \mu\bigr)

    In this form :math:`\mu = 1` has the minimisers of a weighted sum with weights w/nadir, and a larger mu bends the
    other way: from 1 on it reaches no non-convex part of the front. Asked for, it is done and a warning says so.

    Shapes:
        losses (k,) -> scalar.
    Scale:
        ``plain``: implied weights sum to 1 for equal preference. ``log``: sum of implied weight times loss is 1; the
        direction does not change with the losses' units.
    Degenerate:
        R = 0 (all losses zero) is the hard maximum. k = 1: the loss (``plain``) or its log (``log``). A step of which
        only tasks of weight 0 are present has no gradient.
    Errors:
        `LossError` for a loss that is not positive in the ``log`` form; `ClockError` (from the Balancer) without
        an epoch clock, unless ``plain`` with ``mu == final_mu``.
    Cost:
        None.
    Source:
        Lin et al. (2024), eq. 8 and the listing of their multi-task recipe. We differ: the warm-up uses the mean of
        the logs, not their sum, so both phases have one scale; log-sum-exp is stabilised, without their clamp at
        1e-20; the published default mu = 1 of the log form, which is a weighted sum, is not ours.

    Args:
        weights: Preference, positive or zero (the task takes no part); None for 1/k each.
        mu: Smoothing at the start, > 0. ``plain``: a share of R where `relative`, else in the losses' unit.
        final_mu: Smoothing after `anneal` epochs (``plain`` only).
        anneal: Epochs over which mu falls geometrically (``plain`` only).
        relative: Whether mu counts in shares of R (``plain`` only).
        ideal, utopia: The same settings as in `Tchebycheff` (``plain`` only).
        form: The scalar's form, ``"plain"`` or ``"log"``.
        warmup: Epochs before the nadir is measured (``log`` only), at least 0.

    Example:
        >>> import equipoise as eq
        >>> method = SmoothTchebycheff(mu=0.5, final_mu=0.5, relative=False, ideal=None)
        >>> eq.direction(method, [[1.0, 0.0], [0.0, 1.0]], losses=[2.0, 1.0])
        tensor([0.8808, 0.1192], dtype=torch.float64)
    """

    source: ClassVar[str] = "Lin et al. (2024), arXiv:2402.19078"
    cost: ClassVar[str] = "none"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = (
        IDEAL_STATE,
        StateTensor("lowest", merge="min"),
        StateTensor("highest", merge="max"),
        StateTensor("total", merge="sum"),
        StateTensor("count", merge="sum"),
        StateTensor("nadir", merge="mean"),
        StateTensor("epoch", task_axes=()),
    )

    weights: PerTask | None = None
    mu: float = 0.1
    final_mu: float = 0.001
    anneal: int = 20
    relative: bool = True
    ideal: Ideal = "running"
    utopia: float | None = None
    form: Literal["plain", "log"] = "plain"
    warmup: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", freeze_per_task(self.weights, "weights"))
        object.__setattr__(self, "ideal", freeze_ideal(self.ideal))
        object.__setattr__(self, "utopia", utopia_shift(self.utopia, self.ideal))
        refuse_negative(self.weights, "SmoothTchebycheff(weights)")
        if self.form not in ("plain", "log"):
            raise SettingError(f"`form` must be 'plain' or 'log'; got {self.form!r}.")
        epochs = is_whole(self.anneal, least=1) and is_whole(self.warmup)
        if not (is_positive(self.mu) and is_positive(self.final_mu) and is_non_negative(self.utopia) and epochs):
            raise SettingError(
                "`mu`, `final_mu` must be positive, `utopia` at least 0, all finite; `anneal` a whole number of at "
                f"least 1, `warmup` of at least 0; got mu={self.mu!r}, final_mu={self.final_mu!r}, "
                f"utopia={self.utopia!r}, anneal={self.anneal!r}, warmup={self.warmup!r}."
            )
        if self.form == "log" and self.mu >= 1:
            warnings.warn(
                f"SmoothTchebycheff(form='log', mu={self.mu}): from mu = 1, a weighted sum with the weights "
                "w/nadir, on this reaches no non-convex part of the front. Use mu=0.1, or LinearScalarization.",
                EquipoiseWarning,
                stacklevel=3,
            )

    @property
    def per_epoch(self) -> bool:
        return self.form == "log" or self.mu != self.final_mu

    def init(self, k: int, n: int = 0) -> State:
        del n
        zeros = torch.zeros(k, dtype=torch.float64)
        return {
            **initial_ideal(k),
            "lowest": zeros + torch.inf,
            "highest": zeros - torch.inf,
            "total": zeros,
            "count": zeros.clone(),
            "nadir": zeros + torch.nan,
            "epoch": torch.zeros((), dtype=torch.int64),
        }

    def claims(self, k: int) -> frozenset[str]:
        free = self.weights is None and (self.ideal is None or self.ideal == "running")
        if self.form == "log":
            return frozenset({"degree", "permutation"} if self.weights is None else {"degree"})
        laws = {"degree"} if self.degree() is not None else set()
        if free:
            laws |= {"permutation", "simplex", "unanimity", "single"} | ({"no_conflict"} if k == 1 else set())
        return frozenset(laws)

    def degree(self) -> float | None:
        if self.form == "log":
            return 0.0
        return 1.0 if self.relative and (self.ideal is None or self.ideal == "running") else None

    def refutes(self) -> Mapping[str, CounterExample]:
        if self.form == "log" or self.weights is not None or not (self.ideal is None or self.ideal == "running"):
            return {}
        return {"no_conflict": CounterExample(((1.0,), (-5.0,)))}

    def scalar(self, losses: Tensor, state: State, step: Step) -> Answer:
        factors = preference_factors(self.weights, step.tasks, losses)
        if self.form == "log":
            logs, nadir, balanced, state = self._log(losses, factors, state, step)
            soft = self.mu * torch.logsumexp((logs - nadir.log()) / self.mu, dim=0)
            taking_part = factors > 0
            if not taking_part.any():
                return Answer((0 * losses).sum(), state)
            mean = torch.where(taking_part, logs, 0.0).sum() / taking_part.sum()
            return Answer(torch.where(balanced, soft, mean), state)
        terms, mu, state = self._plain(losses, factors, state, step)
        # mu = 0 needs all losses zero: the soft maximum is then the hard one
        return Answer(mu * torch.logsumexp(terms / mu, dim=0) if mu > 0 else terms.amax(), state)

    def implied_weights(self, losses: Tensor, state: State, step: Step) -> Answer:
        factors = preference_factors(self.weights, step.tasks, losses)
        if self.form == "log":
            logs, nadir, balanced, state = self._log(losses, factors, state, step)
            taking_part = counted(self.weights, step.tasks, losses).to(losses)
            even = taking_part / taking_part.sum()
            shares = torch.where(balanced, torch.softmax((logs - nadir.log()) / self.mu, dim=0), even)
            # the last product is 1, but in a step where only tasks of weight 0 are present
            return Answer(shares / losses * (factors > 0), state)
        terms, mu, state = self._plain(losses, factors, state, step)
        below = terms - terms.amax()  # before the division, which may overflow
        if mu > 0:
            return Answer(factors * torch.softmax(below / mu, dim=0), state)
        largest = (below == 0).to(losses)
        return Answer(factors * (largest / largest.sum()), state)

    def _plain(self, losses: Tensor, factors: Tensor, state: State, step: Step) -> tuple[Tensor, float, State]:
        """The terms of the maximum (-inf for a task of weight 0), its softness, and the new state."""
        above, state = measure_from_ideal(losses, self.ideal, self.utopia, state, step)
        sizes = factors * losses.detach()
        lowest, highest = torch.minimum(state["lowest"], sizes), torch.maximum(state["highest"], sizes)
        state = {**state, "lowest": lowest, "highest": highest}
        mu = float(self.mu * (self.final_mu / self.mu) ** min(int(state["epoch"]) / self.anneal, 1.0))
        if self.relative:
            mu *= float((highest - lowest).amax()) or float(sizes.abs().amax())
        return torch.where(counted(self.weights, step.tasks, losses), factors * above, -torch.inf), mu, state

    def _log(self, losses: Tensor, factors: Tensor, state: State, step: Step) -> tuple[Tensor, Tensor, Tensor, State]:
        """Logarithms (-inf for a task of weight 0), the nadir, whether the warm-up is over, and the new state."""
        refuse_nonpositive(losses, step.tasks, "SmoothTchebycheff(form='log')", "form='plain'")
        state = {**state, "total": state["total"] + losses.detach(), "count": state["count"] + 1}
        taking_part = counted(self.weights, step.tasks, losses)
        logs = torch.where(taking_part, losses.log() + torch.where(factors > 0, factors, 1.0).log(), -torch.inf)
        # a task that never appeared in the nadir's epoch has none yet: it stays at its own size
        nadir = torch.where(state["nadir"].isnan(), losses.detach(), state["nadir"])
        return logs, nadir, state["epoch"] > self.warmup, state

    def end_epoch(self, state: State) -> State:
        measured = (state["epoch"] == self.warmup) | state["nadir"].isnan() & (state["epoch"] > self.warmup)
        means = state["total"] / state["count"]
        return {
            **state,
            "nadir": torch.where(measured, means, state["nadir"]),
            "total": torch.zeros_like(state["total"]),
            "count": torch.zeros_like(state["count"]),
            "epoch": state["epoch"] + 1,
        }
