"""The values of ``gradients=``: what each computes, what it costs, how far it is from exact."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from ..errors import SettingError
from ..methods.base import GramianMethod, LossMethod, Method

__all__ = ["Every", "Exact", "Features", "LastLayer", "Mode", "Sketch", "refuse_mode"]


@dataclass(frozen=True)
class Mode:
    """Base of all values of ``gradients=``."""

    @property
    def exact(self) -> bool:
        """Whether the Gramian is that of the shared parameters' gradients in this step."""
        return False


@dataclass(frozen=True)
class Exact(Mode):
    """The default: the exact Gramian, computed in the cheapest exact way that the engine finds (`Balancer.plan`).

    Args:
        products: ``"certified"``: in float64 where that costs little beside the passes (few rows for the layers' width;
            entries of G then to 1e-13). Elsewhere gradients of float32 layers may be multiplied in float32 if an
            estimate of the error, set against the Gramian's smallest eigenvalue, says that weights stay right to about
            1e-5 (entries then to 1e-8 to 1e-7, which is how far the gradients themselves are known); if it does not,
            they are multiplied again in float64, and `Balancer.counts` says how often.
            ``"float64"``: always, entries to 1e-13; a linear layer's products then cost about twice as much.

    Example:
        >>> Exact(), Exact(products="float64")
        (Exact(), Exact(products='float64'))
    """

    products: Literal["certified", "float64"] = "certified"

    def __post_init__(self) -> None:
        if self.products not in ("certified", "float64"):
            raise SettingError(f"`products` must be 'certified' or 'float64'; got {self.products!r}.")

    def __repr__(self) -> str:
        return "Exact()" if self.products == "certified" else f"Exact(products={self.products!r})"

    @property
    def exact(self) -> bool:
        """It is."""
        return True


@dataclass(frozen=True)
class Features(Mode):
    r"""APPROXIMATION: weights from the gradients at the shared features, kept per sample.

    .. math:: (G_Z)_{ij} = \langle \nabla_Z L_i, \nabla_Z L_j \rangle \text{ in place of } \langle g_i, g_j \rangle,
              \qquad d = \sum_i a_i g_i

    The weights are the method's answer to another matrix; what the method guarantees for the parameters' gradients
    (descent, equal projections) is not inherited. With the MGDA method this is MGDA-UB.

    Error:
        Cosine between its direction and the exact one, min-norm weights, 10 to 40 tasks: 0.55 to 0.99; the arm's 7
        joints on an MLP 3 x 512: 0.85 (MGDA), 0.96 (CAGrad). `equipoise.profile` measures it on a model of yours.
    Needs:
        ``balancer(losses, features=...)``, with every shared parameter behind the features.

    Warns:
        `EquipoiseWarning` where no two tasks share a sample: G_Z is then diagonal whatever the trunk does.
    Cost:
        One pass through the heads for each task and a single one through the trunk: about one plain step.
    Source:
        Sener & Koltun (2018), arXiv:1810.04650, section 3.3.

    Example:
        >>> Features().exact
        False
    """


@dataclass(frozen=True)
class Every(Mode):
    """APPROXIMATION: the exact Gramian every n steps; the weights are used again in between.

    In a step that reuses weights the method is not asked: its state does not move, and `Balancer.plan` says
    ``reused``. Another set of present tasks, or a parameter that was never met, makes a step exact. The weights are
    part of the saved state.

    Error:
        Zero in an exact step; in between, that of weights up to n - 1 steps old. Cosine after 9 gradient steps of size
        0.01, same model as in `Features`: 0.88 (MGDA), 0.94 (CAGrad). `equipoise.profile` measures it.
    Cost:
        (1 + 2k/(3n)) plain steps on average for an exact step of (1 + 2k)/3.

    Args:
        n: At least 1; 1 is exact.

    Example:
        >>> Every(10)
        Every(n=10)
    """

    n: int

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise SettingError(f"`Every(n)` needs a whole number of at least 1; got {self.n!r}.")

    @property
    def exact(self) -> bool:
        """Whether every step is exact."""
        return self.n == 1


@dataclass(frozen=True)
class Sketch(Mode):
    r"""APPROXIMATION: the Gramian of random projections (CountSketch) of the gradients, then one weighted backward.

    .. math:: (S g)_b = \sum_{c \equiv b \bmod s} \varepsilon_c\, g_c, \qquad G \approx (J S^\top)(J S^\top)^\top

    with fixed random signs :math:`\varepsilon`, so that k * s numbers are kept in place of k * n. Unbiased over the
    signs and positive semidefinite; the direction is an exact combination of the gradients with approximate weights.

    Error:
        Standard deviation of an entry: about sqrt(2/s) of the product of the norms. Measured on an MLP's gradients,
        k = 10: G 4 to 5 % off and cosine of the min-norm direction 0.999 for s = 4096; 10 % and 0.995 for s = 1024
        (same model as in `Features`: 0.9997 and 0.996).
    Cost:
        k passes and one more backward; memory k * s numbers, one gradient, and a byte a parameter for the signs.
    Source:
        Charikar, Chen & Farach-Colton (2002); the fold (bucket = index modulo s) is ours.

    Args:
        s: Numbers kept a task, at least 2.
        seed: Of the signs.

    Example:
        >>> Sketch(4096)
        Sketch(s=4096, seed=0)
    """

    s: int
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.s, bool) or not isinstance(self.s, int) or self.s < 2:
            raise SettingError(f"`Sketch(s)` needs a whole number of at least 2; got {self.s!r}.")


@dataclass(frozen=True, eq=False)
class LastLayer(Mode):
    """APPROXIMATION, but for GradNorm: the Gramian of some parameters' gradients only, then one weighted backward.

    GradNorm is defined on such a layer (``layer=`` of the Balancer), and `Balancer.plan` says so; for a method on the
    whole trunk's gradients the weights are those of another matrix.

    Error:
        Whatever the chosen layer leaves out. Cosine for the last of three layers, same model as in `Features`: 0.93
        (MGDA), 0.98 (CAGrad). `equipoise.profile` measures it on a model of yours.
    Cost:
        k passes that stop at the layer, and one weighted backward.

    Args:
        parameters: A module, a tensor, or several tensors; usually the last layer that all tasks share.

    Example:
        >>> LastLayer(nn.Linear(2, 3))
        LastLayer(2 parameters, 9 numbers)
    """

    parameters: tuple[Tensor, ...] = field(repr=False)

    def __init__(self, parameters: nn.Module | Tensor | Iterable[Tensor]) -> None:
        given = [parameters] if isinstance(parameters, Tensor) else parameters
        tensors = tuple(given.parameters() if isinstance(given, nn.Module) else given)
        wrong = [
            f"number {i} is {type(entry).__name__}"
            if not isinstance(entry, Tensor)
            else f"number {i} of shape {tuple(entry.shape)} does not require grad"
            for i, entry in enumerate(tensors)
            if not (isinstance(entry, Tensor) and entry.requires_grad)
        ]
        if not tensors or wrong:
            found = "; ".join(wrong) or "none"
            raise SettingError(f"`LastLayer(parameters)` needs tensors that require grad; got {found}.")
        object.__setattr__(self, "parameters", tensors)

    def __repr__(self) -> str:
        count = sum(tensor.numel() for tensor in self.parameters)
        return f"LastLayer({len(self.parameters)} parameters, {count} numbers)"


def refuse_mode(mode: object, method: Method) -> str:
    """Why a method cannot use a way to get gradients, or the empty string."""
    if isinstance(mode, type) and issubclass(mode, Mode):
        return f"gradients={mode.__name__} (an instance: eq.{mode.__name__}(...))"
    if not isinstance(mode, Mode):
        return f"gradients={mode!r} (eq.Exact(), Features(), Every(n), Sketch(s) or LastLayer(parameters))"
    if isinstance(mode, Exact):
        return ""
    if isinstance(method, LossMethod):
        return f"gradients={mode!r} ({type(method).__name__} looks at losses alone: there is no Gramian to approximate)"
    if not isinstance(method, GramianMethod):
        return f"gradients={mode!r} ({type(method).__name__} needs the Jacobian, which this does not give)"
    if method.needs == "features":
        return f"gradients={mode!r} ({type(method).__name__} works on the gradients at the features already)"
    return ""
