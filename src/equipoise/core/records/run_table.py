"""What `equipoise runs` finds in a table of runs. Plain data, from which a report computes its sentences."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ChoiceRecord", "NextWeights", "RunRecord", "RunTableRecord"]

Numbers = tuple[float, ...]
"""One entry a loss, in the order of the record. A metric that is maximised stands with its own sign."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunRecord(_Record):
    """One non-dominated setting.

    Attributes:
        name: The values of its configuration columns, or the number of its row.
        losses: Means over its runs.
        runs: Number of runs.
        low, high: Smallest and largest weight of each loss (they sum to 1) over the weighted sums that pick the
            setting among these runs; None where none does.
        gap: Distance, in ranges, by which a mixture of these runs is below it on all losses; 0 where weights pick it.
        interval: 5 % and 95 % quantile of the gap over resampled seeds; None without seeds.
        mixture: Settings and their probabilities that attain the gap; empty where it is 0 or not listed.
        mixture_losses: Their expected losses; empty with `mixture`.
    """

    name: str
    losses: Numbers
    runs: int
    low: Numbers | None
    high: Numbers | None
    gap: float
    interval: tuple[float, float] | None
    mixture: tuple[tuple[str, float], ...]
    mixture_losses: Numbers


class NextWeights(_Record):
    """A weighted sum to train next: these settings tie there, and no run lies between them.

    Attributes:
        weights: Weights of the losses, sum 1.
        between: The settings that tie.
    """

    weights: Numbers
    between: tuple[str, ...]


class ChoiceRecord(_Record):
    """The setting that suits a wish, and the mixture that suits it best.

    Attributes:
        wish: Words for what is wanted.
        met: Whether a mixture meets it; always so for a ray.
        single: Name of the best single setting.
        single_met: Whether it meets the wish.
        single_losses: Losses of the best single setting.
        members: Settings of the best mixture and their probabilities.
        losses: Expected losses of that mixture.
        next_weights: The weighted sum that a new model would have to lower to improve the mixture.
    """

    wish: str
    met: bool
    single: str
    single_met: bool
    single_losses: Numbers
    members: tuple[tuple[str, float], ...]
    losses: Numbers
    next_weights: Numbers


class RunTableRecord(_Record):
    """What a table of runs says about its losses.

    Attributes:
        written_by, format: Mark the file as ours, and its layout.
        command: What to type to get it again.
        data: Name of the file or study.
        sha256: Checksum of the file; "" for a study.
        losses: Names, in the order of every vector.
        maximised: Losses among these that are better when higher.
        seed_column: Column of the seeds, or "".
        config: Columns that make a setting; empty where every row is one.
        rows: Number of rows of the table.
        left_out: Reason -> number of rows.
        settings: Number of settings.
        runs: Fewest and most runs of a setting.
        paired: Whether the same seeds were resampled in every setting.
        resamples: Number of resamples of the seeds; 0 without seeds.
        units: Range of each loss over the non-dominated settings: what gaps are measured in.
        front: The non-dominated settings, at most `MOST` of them.
        fronts: Number of non-dominated settings.
        picked: Number of non-dominated settings that some weights pick.
        unpicked: Number of those that none picks; with seeds: whose gap stays above 0 at the 5 % quantile.
        others: Losses of dominated settings, a sample, for the picture.
        choices: One for each wish.
        next_weights: What to train next.
        largest_hole: Longest way between neighbours on the front, in ranges; None where it was not measured.
        at_ends: Share of the front that lies at the best of a single loss.
        notes: What a reader must know about the reading of the table.
        versions: Package -> version.
    """

    written_by: Literal["equipoise"] = "equipoise"
    format: Literal[1] = 1
    kind: Literal["runs"] = "runs"
    command: str
    data: str
    sha256: str
    losses: tuple[str, ...]
    maximised: tuple[str, ...]
    seed_column: str
    config: tuple[str, ...]
    rows: int
    left_out: dict[str, int]
    settings: int
    runs: tuple[int, int]
    paired: bool
    resamples: int
    units: Numbers
    front: tuple[RunRecord, ...]
    fronts: int
    picked: int
    unpicked: int
    others: tuple[Numbers, ...]
    choices: tuple[ChoiceRecord, ...]
    next_weights: tuple[NextWeights, ...]
    largest_hole: float | None
    at_ends: float
    notes: tuple[str, ...]
    versions: dict[str, str]
