"""Any Gramian method with its weights averaged over steps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import SettingError
from ...solve import Status
from ..base import Answer, GramianMethod, State, StateTensor, Step
from .nested import AroundMethod

__all__ = ["Smoothed"]


@dataclass(frozen=True)
class Smoothed(AroundMethod, GramianMethod):
    r"""An exponential moving average of another method's weights.

    .. math:: \bar a \leftarrow \alpha\, \bar a + (1 - \alpha)\, a(G), \qquad d = J^\top \bar a

    On mini-batches the weights that solve a method's problem are correlated with the noise of the gradients; averaged
    weights are less so.

    Shapes:
        gramian (k, k) -> weights (k,); state ``smoothed``, ``seen`` (k,), ``total``, the average of the weights' sum,
        and the inner method's state with the prefix ``inner_``.
    Scale:
        The inner method's. Its guarantee of no conflict is lost: the averaged weights belong to other gradients.
    Degenerate:
        A task's average starts at its first weight. A task that is absent, or left out because its gradient is zero,
        keeps its average and is not used; the averages of those that take part are multiplied to the sum `total`
        (unless one is negative), so that the length of a step does not depend on who joins or is missing. Where the
        inner method has no solution, d = 0 and the averages stay. Status and certificate are the inner method's.
    Errors:
        `SettingError` where the inner method is no Gramian method, or trains something.
    Cost:
        The inner method's, and O(k).
    Source:
        Zhou et al. (2022), *On the convergence of stochastic multi-objective gradient manipulation* (CR-MOGM).

    Args:
        method: Method whose weights are averaged.
        alpha: Share of the old average, in [0, 1); 0 changes nothing.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(Smoothed(eq.MGDA(), alpha=0.9), [[2.0, 0.0], [0.0, 1.0]])  # the first step is MGDA's
        tensor([0.4000, 0.8000], dtype=torch.float64)
    """

    source = "Zhou et al. (2022), CR-MOGM"
    cost = "O(k) beyond the inner method"

    alpha: float = 0.9

    def __post_init__(self) -> None:
        if not isinstance(self.method, GramianMethod):
            raise SettingError(
                f"`Smoothed` averages the weights of a Gramian method, for example MGDA(); got {self.method!r}."
            )
        if self.method.trains:
            raise SettingError(f"`Smoothed` cannot hold {self.method!r}: an optimizer trains part of its state.")
        if not 0 <= self.alpha < 1:
            raise SettingError(f"`alpha` must lie in [0, 1); got {self.alpha}.")
        own = (StateTensor("smoothed"), StateTensor("seen"), StateTensor("total", task_axes=()))
        self.settle(own, ("needs", "heads", "honours", "on_host", "on_layer", "samples_twice"))

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return self.method.leaves_out_zero_gradients

    @property
    def remembers_units(self) -> bool:
        return self.degree() != 1.0 or self.method.remembers_units  # weights of degree 0 have no unit

    def init(self, k: int, n: int = 0) -> State:
        own = {
            "smoothed": torch.zeros(k, dtype=torch.float64),
            "seen": torch.zeros(k, dtype=torch.int64),
            "total": torch.zeros((), dtype=torch.float64),
        }
        return {**own, **self.nested(self.method.init(k, n))}

    def claims(self, k: int) -> frozenset[str]:
        kept = {"simplex", "permutation", "unanimity", "single"}
        # a weight in units of a gradient cannot be averaged over changing units
        return self.method.claims(k) & (kept | {"degree"} if self.degree() is not None else kept)

    def degree(self) -> float | None:
        return 1.0 if self.method.degree() == 1.0 else None

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        answer = self.method.weights(gramian, self.inner_state(state), step)
        state = {**state, **self.nested(answer.state)}
        if answer.status is Status.NO_SOLUTION:
            return answer._replace(state=state)
        fresh, seen, total = answer.value, state["seen"], state["total"].to(answer.value)
        held = torch.where((seen > 0).to(fresh.device), state["smoothed"].to(fresh), fresh)
        held = torch.where(held.any(), held, fresh)  # those that take part may have averages of zero
        sums = held.sum(), fresh.sum()
        whole = (held >= 0).all() & (sums[0] > 0) & (total > 0)
        held = held * torch.where(whole, total / sums[0], 1.0)
        mixed = self.alpha * held + (1 - self.alpha) * fresh
        after = torch.where(total != 0, self.alpha * total + (1 - self.alpha) * sums[1], sums[1])
        return answer._replace(value=mixed, state={**state, "smoothed": mixed, "seen": seen + 1, "total": after})
