"""Which of the models that a training passed through serves its preference best, on the part that judges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...core.tasks import Preference, Tasks
from ...errors import PreferenceError
from ...methods import LinearScalarization, Tchebycheff
from ...training.loop.selection import WHOLE, Selection

__all__ = ["PreferredLoss", "preference_value"]

_AUGMENTED = 1e-4  # of models with equal maxima, the one that is lower elsewhere


@dataclass(frozen=True)
class PreferredLoss(Selection):
    """The lowest value of what a preference minimises.

    Args:
        preference: `LinearScalarization`, or `Tchebycheff` with a given ideal or none.
    """

    words: ClassVar[str] = "lowest value of the preference on the validation part"
    preference: Preference

    def scores(self, losses: Mapping[str, float]) -> dict[str, float]:
        """One score."""
        return {WHOLE: preference_value(self.preference, losses)}


def preference_value(preference: Preference, losses: Mapping[str, float]) -> float:
    r""":math:`\sum_i w_i L_i`, or :math:`\max_i w_i (L_i - z_i)` and a ten-thousandth of their sum.

    Tasks of weight 0 do not count, whatever their losses.

    Example:
        >>> preference_value(LinearScalarization((1.0, 0.0)), {"a": 2.0, "b": float("inf")})
        2.0
    """
    names = Tasks(tuple(losses))
    if not isinstance(preference, LinearScalarization | Tchebycheff) or preference.weights is None:
        raise PreferenceError(f"a sweep needs LinearScalarization or Tchebycheff with weights; got {preference!r}.")
    weights: list[float] = names.vector(preference.weights, "weights").tolist()
    origin = [0.0] * len(weights)
    if isinstance(preference, Tchebycheff) and preference.ideal is not None:
        if isinstance(preference.ideal, str):
            raise PreferenceError(f"a running ideal depends on the run; give `ideal`: got {preference!r}.")
        origin = names.vector(preference.ideal, "ideal").tolist()
    terms = [w * (loss - z) for w, loss, z in zip(weights, losses.values(), origin, strict=True) if w > 0]
    if isinstance(preference, LinearScalarization):
        return sum(terms)
    return max(terms) + _AUGMENTED * sum(terms)
