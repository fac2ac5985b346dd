"""What `equipoise rewards` finds in a file of rewards. Plain data, from which a report computes its sentences."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["EffectRecord", "RewardStep", "RewardsRecord"]

Numbers = tuple[float, ...]
"""One entry a reward, in the order of the record."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EffectRecord(_Record):
    """What an update with certain weights is predicted to do to each reward, to first order.

    Attributes:
        weights: Weights of the rewards, as `RewardsRecord.aggregation` takes them.
        alignment: Correlation of each reward's advantage with the update; 0 for a reward that never varies.
        low, high: 95 % interval of `alignment` over groups, weights and sizes taken as given; None for one group.
        share: Part of the update's variance that each weighted reward explains; sum 1.
        margin: Smallest alignment of a reward that varies.
        status: Outcome, as in `equipoise.rewards.RewardEffect`.
    """

    weights: Numbers
    alignment: Numbers
    low: Numbers | None
    high: Numbers | None
    share: Numbers
    margin: float
    status: Literal["all rise", "not all rise", "opposed", "no variance"]


class RewardStep(_Record):
    """One step of a training, or several neighbouring ones together.

    Attributes:
        step: The last of the steps.
        rows, groups, collapsed: Completions, groups, and groups in which no reward varies.
        means: Mean of each reward.
        present: Alignment of each reward with the update of the present weights, in this batch.
        weights: Weights of the method, for rewards each divided by its standard deviation in this batch; sum 1.
    """

    step: float
    rows: int
    groups: int
    collapsed: int
    means: Numbers
    present: Numbers
    weights: Numbers


class RewardsRecord(_Record):
    """What a file of rewards says about the weights of the rewards.

    Attributes:
        written_by, format: Mark the file as ours, and its layout.
        command: What to type to get it again.
        data: Name of the file, or of the first of several.
        files: Number of files.
        sha256: Checksum of the file; of all their checksums where there are several.
        group: Column of the prompts.
        step_column: Column of the steps, or "".
        rewards: Names of the rewards.
        rows, groups: Completions, and groups (a prompt in one step).
        single: Groups of one completion, which say nothing.
        collapsed: Groups in which no reward varies.
        collapsed_by_reward, missing: Numbers of groups in which each reward does not vary, and of rows without it.
        means, deviations: Mean of each reward, and its standard deviation within groups.
        correlation: (k, k) of the advantages.
        doubled: Pairs of rewards that are the same in all rows.
        aggregation: TRL's word for how weighted rewards become an advantage.
        method: The call that made the method.
        present: The effect of the weights that were given, or of equal ones.
        balanced: The effect of the method's weights on the rows that they were computed from.
        held_out: The effect of weights computed on one half of the groups, on the other half; None with few groups.
        steps: Over training; empty without a step column.
        notes: What a reader must know about the reading of the file.
        versions: Package -> version.
    """

    written_by: Literal["equipoise"] = "equipoise"
    format: Literal[1] = 1
    kind: Literal["rewards"] = "rewards"
    command: str
    data: str
    files: int
    sha256: str
    group: str
    step_column: str
    rewards: tuple[str, ...]
    rows: int
    groups: int
    single: int
    collapsed: int
    collapsed_by_reward: tuple[int, ...]
    missing: tuple[int, ...]
    means: Numbers
    deviations: Numbers
    correlation: tuple[Numbers, ...]
    doubled: tuple[tuple[str, str], ...]
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"]
    method: str
    present: EffectRecord
    balanced: EffectRecord
    held_out: EffectRecord | None
    steps: tuple[RewardStep, ...]
    notes: tuple[str, ...]
    versions: dict[str, str]
