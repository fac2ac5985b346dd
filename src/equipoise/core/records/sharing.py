"""Which task helps which on new rows, as data."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["LEVEL", "Advice", "Sharing", "SharingTold"]

LEVEL = 0.05
"""Chance that any claim of a family of changes is wrong; one minus the coverage of each interval."""

SharingTold = Literal["helps", "harms", "cannot tell", "the same"]
Advice = Literal["share", "alone", "cannot tell", "the same"]


class Sharing(BaseModel):
    """Changes of each task's loss on new rows against a model of its own, in shares of the task's variance.

    Below 0 sharing helps. Layers are trained with equal weights on the losses in shares of variance.

    Attributes:
        pairs: (k, k), in [a][b] the change of task a where b shares a layer of width 1 with it; 0 on the diagonal.
        pair_errors: (k, k) jackknife standard errors of `pairs`.
        pair_p_values: (k, k) two-sided p-values, corrected for all k (k - 1) ordered pairs (Holm, 1979).
        together: (k,) the change where all tasks share the layer, at the width chosen on the training part.
        together_errors: (k,) their jackknife standard errors.
        together_p_values: (k,) two-sided p-values, corrected for the k tasks.
        widths: Shared width of all tasks -> number of folds whose training part chose it.
        quantile: Standard errors to each side of a change that its own 95 % interval takes.
        expected: (k, k) what theory expects of `pairs`, to first order; None where it says nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: tuple[tuple[float, ...], ...]
    pair_errors: tuple[tuple[float, ...], ...]
    pair_p_values: tuple[tuple[float, ...], ...]
    together: tuple[float, ...]
    together_errors: tuple[float, ...]
    together_p_values: tuple[float, ...]
    widths: dict[int, int]
    quantile: float
    expected: tuple[tuple[float, ...], ...] | None = None

    def told(self, task: int, partner: int | None) -> SharingTold:
        """What sharing with a partner, or with all tasks (None), is told to do to a task."""
        if partner is None:
            change, error, p = self.together[task], self.together_errors[task], self.together_p_values[task]
        else:
            change, error, p = (each[task][partner] for each in (self.pairs, self.pair_errors, self.pair_p_values))
        if change == error == 0:
            return "the same"
        if p > LEVEL:
            return "cannot tell"
        return "helps" if change < 0 else "harms"

    def partners(self, task: int, told: SharingTold) -> list[int]:
        """The single partners of which this is told, the largest change first."""
        others = [i for i in range(len(self.together)) if i != task and self.told(task, i) == told]
        return sorted(others, key=lambda i: -abs(self.pairs[task][i]))

    def advice(self, task: int) -> Advice:
        """What the changes that are told advise for a task.

        ``share`` where some sharing is told to help; ``alone`` where none is, and that with all tasks, or with each
        single one, is told to harm.
        """
        partners = [i for i in range(len(self.together)) if i != task]
        every = [self.told(task, partner) for partner in (None, *partners)]
        if "helps" in every:
            return "share"
        if every[0] == "harms" or _all(every[1:], "harms"):
            return "alone"
        return "the same" if _all(every, "the same") else "cannot tell"


def _all(told: Sequence[SharingTold], what: SharingTold) -> bool:
    return all(each == what for each in told)
