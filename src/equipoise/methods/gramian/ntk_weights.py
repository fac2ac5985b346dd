"""NTK weights for physics-informed networks: the trace of the tangent kernel over that of each task's block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ...errors import SettingError
from ..base import Answer, CounterExample, GramianMethod, State, StateTensor, Step
from ..parts.moving_means import MEANS_STATE, initial_means, update_means

__all__ = ["NTKWeights"]


@dataclass(frozen=True)
class NTKWeights(GramianMethod):
    r"""Weights inverse to the trace of each task's block of the neural tangent kernel.

    .. math:: d = \frac1k \sum_i \frac{\tfrac1k \operatorname{tr} K}{\operatorname{tr} K_{ii}}\, g_i, \qquad
              \operatorname{tr} K_{ii} = \sum_p \Big| \frac{\partial r_i(x_p)}{\partial \theta} \Big|^2, \qquad
              \operatorname{tr} K = \sum_i \operatorname{tr} K_{ii}

    with r_i the residual of task i (equation, boundary, initial values) at its points x_p, before it is squared and
    averaged to the loss. One backward pass a task gives an estimate without bias: with independent signs
    :math:`s_p = \pm 1` the square of the gradient of :math:`\sum_p s_p r_i(x_p)` has the mean
    :math:`\operatorname{tr} K_{ii}`. Give these sums as `second` and `third`::

        probes = {name: (torch.randint_like(r, 2) * 2 - 1).mul(r).sum() for name, r in residuals.items()}
        balancer(losses, second=probes, third=probes, retain_graph=True).backward()

    Without them the kernel of the losses themselves is taken, :math:`\operatorname{tr} K_{ii} = |g_i|^2`: it shrinks
    with the residuals, and is another quantity than the paper's.

    Shapes:
        gramian (k, k), of the probes or of the losses -> weights (k,); only the diagonal is read. State ``means``, the
        moving means of the traces, ``seen`` (k,).
    Scale:
        With equal traces the mean gradient; ``c * J`` gives ``c * d``. The weights do not sum to 1.
    Degenerate:
        An exactly zero gradient is left out, its mean stays, and the trace is that of the others. k = 1: the gradient.
    Cost:
        O(k) on the CPU; with probes 2k more passes and one weighted backward. The traces change slowly.
    Source:
        Wang, Yu & Perdikaris (2022), arXiv:2007.14527, by the authors' code. We differ: traces are estimated and
        averaged, where the authors form K from the gradient at every point; k times the sum and k times the trace are
        divided out, so that equal traces give the mean.

    Args:
        beta: Share of the old mean of the traces, in [0, 1); 0 as published, for exact traces. One probe is off by up
            to 140 % (standard deviation).

    Example:
        >>> import equipoise as eq
        >>> eq.direction(NTKWeights(), [[3.0, 0.0], [0.0, 1.0]])  # traces 9 and 1, mean 5
        tensor([0.8333, 2.5000], dtype=torch.float64)
    """

    source: ClassVar[str] = "Wang, Yu & Perdikaris (2022), arXiv:2007.14527"
    cost: ClassVar[str] = "O(k) on the CPU; with probes 2k more passes"
    state_tensors: ClassVar[tuple[StateTensor, ...]] = MEANS_STATE
    samples_twice: ClassVar[bool] = True

    beta: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise SettingError(f"`beta` must lie in [0, 1); got {self.beta!r}.")

    @property
    def remembers_units(self) -> bool:
        return self.beta > 0  # else each step's means are its own

    def init(self, k: int, n: int = 0) -> State:
        del n
        return initial_means(k)

    def claims(self, k: int) -> frozenset[str]:
        laws = {"permutation", "degree", "single"} | ({"unanimity"} if self.beta == 0 else set())
        return frozenset(laws | {"unanimity", "no_conflict"} if k == 1 else laws)

    def degree(self) -> float:
        return 1.0

    def refutes(self) -> Mapping[str, CounterExample]:
        apart = CounterExample(((3.0, 0.0), (0.0, 1.0)))
        return {
            "no_conflict": CounterExample(((1.0, 0.0), (-10.0, 1.0))),
            "simplex": apart,
            "task_scale": CounterExample(((1.0, 0.0), (0.0, 1.0))),
        }

    def weights(self, gramian: Tensor, state: State, step: Step) -> Answer:
        traces, after = update_means(state, gramian.diagonal(), self.beta)
        return Answer(traces.sum() / traces / step.count**2, after)
