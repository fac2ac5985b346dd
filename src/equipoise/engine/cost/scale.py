"""What a balanced step sends and keeps over many ranks: arithmetic only, nothing is measured here.

Symbols: k tasks, n trained shared parameters, N parameters of the whole network (N > n where a base is frozen), R
ranks. Collectives count what one rank sends in a ring: n (R-1)/R numbers for a reduce-scatter or an all-gather of n
numbers, twice that for an all-reduce. The arithmetic is that of dense networks, where forward, gradients of activations
and gradients of weights cost the same; heads and the k x k problem are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import SettingError

__all__ = ["SCHEMES", "ScaleCost", "Scheme", "cheapest", "scale_cost"]

_STATE = 16  # bytes a trained parameter: float32 weight and gradient, two moments of Adam
_FROZEN = 2  # bytes a frozen parameter: bfloat16
_NUMBER = 4  # bytes of a number in a gradient


@dataclass(frozen=True)
class ScaleCost:
    """Cost of one step on each rank.

    Attributes:
        compute: Arithmetic in steps of the same training without balancing.
        sent: Numbers that a rank sends, those of the training included.
        plain: Numbers that a rank sends in a step without balancing.
        kept: Bytes of gradients beyond those of a plain step.
        state: Bytes of parameters, gradients and Adam's moments.
    """

    compute: float
    sent: float
    plain: float
    kept: float
    state: float

    @property
    def traffic(self) -> float:
        """Numbers sent, in plain steps; 1 on one rank."""
        return self.sent / self.plain if self.plain else 1.0

    @property
    def held(self) -> float:
        """Bytes in all, without activations."""
        return self.kept + self.state


@dataclass(frozen=True)
class Scheme:
    """One way to merge over ranks.

    Attributes:
        about: The scheme in a few words.
        sharded: Whether parameters are sharded (FSDP2).
        exact: Whether weights are those of one process with the joined batch.
        passes: Backward passes of a step as a function of k.
        sends: Numbers sent beyond those of a plain step: function of k, n, N, and the share (R-1)/R.
        keeps: Numbers kept beyond those of a plain step: function of k, n, R.
    """

    about: str
    sharded: bool
    exact: bool
    passes: Callable[[int], int]
    sends: Callable[[int, float, float, float], float]
    keeps: Callable[[int, float, int], float]


SKETCH = 4096  # numbers of a sketch

SCHEMES: dict[str, Scheme] = {
    "losses": Scheme(
        "DDP, method on losses", False, True, lambda k: 1, lambda k, n, N, share: 2 * k * share, lambda k, n, R: 0.0
    ),
    "columns": Scheme(
        "DDP, reduce-scatter of J", False, True, lambda k: k,
        lambda k, n, N, share: (k * n + 2 * k**2) * share, lambda k, n, R: k * n,
    ),
    "rows": Scheme(
        "DDP, all-reduce of J", False, True, lambda k: k,
        lambda k, n, N, share: 2 * k * n * share, lambda k, n, R: k * n,
    ),
    "sketch": Scheme(
        "DDP, same-seed sketch", False, False, lambda k: k + 1,
        lambda k, n, N, share: 2 * k * SKETCH * share, lambda k, n, R: n + k * SKETCH,
    ),
    "features": Scheme(
        "DDP, Gramian at the features", False, False, lambda k: 1,
        lambda k, n, N, share: 2 * k**2 * share, lambda k, n, R: 0.0,
    ),
    "shards": Scheme(
        "FSDP2, one backward a task", True, True, lambda k: k,
        lambda k, n, N, share: ((k - 1) * (N + n) + 2 * k**2) * share, lambda k, n, R: k * n / R,
    ),
    "shards, losses": Scheme(
        "FSDP2, method on losses", True, True, lambda k: 1, lambda k, n, N, share: 2 * k * share, lambda k, n, R: 0.0
    ),
}  # fmt: skip


def scale_cost(scheme: str, k: int, trained: float, ranks: int, whole: float | None = None) -> ScaleCost:
    """Cost of a balanced step.

    Args:
        scheme: Name from `SCHEMES`.
        k: Number of tasks.
        trained: Number n of trained shared parameters.
        ranks: Number R of data-parallel ranks.
        whole: Number N of all parameters, frozen ones included; n if None.

    Raises:
        SettingError: The scheme is unknown, or a number is below 1.

    Example:
        >>> cost = scale_cost("shards", 3, 1e9, 64)
        >>> f"{cost.compute:.2f} {cost.traffic:.2f} {cost.kept:.3g}"
        '2.33 2.33 1.88e+08'
    """
    whole = trained if whole is None else whole
    if scheme not in SCHEMES:
        raise SettingError(f"`scheme` must be one of {', '.join(map(repr, SCHEMES))}; got {scheme!r}.")
    if min(k, trained, ranks) < 1 or whole < trained:
        raise SettingError(
            f"`k`, `trained` and `ranks` must be at least 1, and `whole` at least `trained`; got k={k}, "
            f"trained={trained}, ranks={ranks}, whole={whole}."
        )
    way, share = SCHEMES[scheme], (ranks - 1) / ranks
    weights = trained / whole  # gradients of weights, in forward passes
    plain = (2 * whole + trained if way.sharded else 2 * trained) * share
    state = _STATE * trained + _FROZEN * (whole - trained)
    return ScaleCost(
        compute=(1 + way.passes(k) * (1 + weights)) / (2 + weights),
        sent=plain + way.sends(k, trained, whole, share),
        plain=plain,
        kept=_NUMBER * way.keeps(k, trained, ranks),
        state=state / ranks if way.sharded else state,
    )


def cheapest(k: int, trained: float, ranks: int, room: float, whole: float | None = None) -> str | None:
    """Name of the exact scheme on gradients that fits and sends the least; None where none fits.

    Args:
        k: Number of tasks.
        trained: Number of trained shared parameters.
        ranks: Number of ranks.
        room: Bytes on each rank for parameters, gradients and the optimizer, without activations.
        whole: Number of all parameters, frozen ones included; `trained` if None.

    Example:
        >>> cheapest(3, 1e9, 64, 64e9), cheapest(3, 1e10, 64, 64e9), cheapest(3, 1e10, 1, 64e9)
        ('columns', 'shards', None)
    """
    fitting = {
        name: cost
        for name in ("columns", "shards")
        if (cost := scale_cost(name, k, trained, ranks, whole)).held <= room
    }
    return min(fitting, key=lambda name: fitting[name].sent, default=None)
