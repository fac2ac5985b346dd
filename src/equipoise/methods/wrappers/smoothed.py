"""Any Gramian method with its weights averaged over steps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import SettingError
from ..base import Answer, GramianMethod, State, StateTensor, Step
from ..gramian.mgda import MGDA
from .nested import inner_state, nest_declaration, nest_state

__all__ = ["Smoothed"]


@dataclass(frozen=True)
class Smoothed(GramianMethod):
    r"""An exponential moving average of another method's weights.

    .. math:: \bar a \leftarrow \alpha\, \bar a + (1 - \alpha)\, a(G), \qquad d = J^\top \bar a

    On mini-batches the weights that solve a method's problem are correlated with the noise of the gradients; averaged
    weights are less so.

    Shapes:
        gramian (k, k) -> weights (k,); state ``smoothed``, ``seen`` (k,), and the inner method's state with the prefix
        ``inner_``.
    Scale:
        The inner method's. Its guarantee of no conflict is lost: the averaged weights belong to other gradients.
    Degenerate:
        A task's average starts at its first weight. A task that is absent, or left out because its gradient is zero,
        keeps its average and is not used; the weights of the others grow into its share over 1/(1 - alpha) steps.
        Status and certificate are the inner method's.
    Errors:
        `SettingError` where the inner method is no Gramian method, or trains something.
    Cost:
        The inner method's, and O(k).
    Source:
        Zhou et al. (2022), *On the convergence of stochastic multi-objective gradient manipulation* (CR-MOGM).

    Args:
        method: The inner method.
        alpha: In [0, 1); 0 changes nothing.

    Example:
        >>> import equipoise as eq
        >>> eq.direction(Smoothed(MGDA(), alpha=0.9), [[2.0, 0.0], [0.0, 1.0]])  # the first step is MGDA's
        tensor([0.4000, 0.8000], dtype=torch.float64)
    """

    source = "Zhou et al. (2022), CR-MOGM"
    cost = "O(k) beyond the inner method"

    method: GramianMethod = MGDA()  # noqa: RUF009 - a value: frozen, hashable, without memory
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
        declared = (StateTensor("smoothed"), StateTensor("seen"), *nest_declaration(self.method))
        object.__setattr__(self, "state_tensors", declared)
        for name in ("needs", "heads", "honours", "on_host"):  # what the engine asks is answered by the inner method
            object.__setattr__(self, name, getattr(self.method, name))

    @property
    def leaves_out_zero_gradients(self) -> bool:
        return self.method.leaves_out_zero_gradients

    @property
    def per_epoch(self) -> bool:
        return self.method.per_epoch

    def init(self, k: int, n: int = 0) -> State:
        own = {"smoothed": torch.zeros(k, dtype=torch.float64), "seen": torch.zeros(k, dtype=torch.int64)}
        return {**own, **nest_state(self.method.init(k, n))}

    def end_epoch(self, state: State) -> State:
        return {**state, **nest_state(self.method.end_epoch(inner_state(self.method, state)))}

    def observe(self, losses: Tensor, state: State) -> State:
        return {**state, **nest_state(self.method.observe(losses, inner_state(self.method, state)))}

    def claims(self, k: int) -> frozenset[str]:
        kept = {"simplex", "permutation", "unanimity", "single"}
        # a weight in units of a gradient cannot be averaged over changing units
        return self.method.claims(k) & (kept | {"degree"} if self.degree() is not None else kept)

    def degree(self) -> float | None:
        return 1.0 if self.method.degree() == 1.0 else None

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        answer = self.method.weights(gramian, inner_state(self.method, state), step)
        held, known = state["smoothed"].to(answer.value), (state["seen"] > 0).to(answer.value.device)
        mixed = torch.where(known, self.alpha * held + (1 - self.alpha) * answer.value, answer.value)
        after = {"smoothed": mixed, "seen": state["seen"] + 1, **nest_state(answer.state)}
        return Answer(mixed, after, answer.status, answer.certificate)
