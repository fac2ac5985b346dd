"""A mixin for TRL's ``GRPOTrainer``: reward weights from each batch's rewards."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from ..methods.base import Method, State
from ..methods.gramian.mgda import MGDA
from .advantages import centred, contributions
from .reward_weights import RewardWeights, weights

__all__ = ["BalancedRewards"]


class BalancedRewards:
    """Mixin for TRL's ``GRPOTrainer``: a method weighs the rewards of each batch before they are added up.

    .. code-block:: python

        class Trainer(eq.rewards.BalancedRewards, GRPOTrainer):
            reward_method = eq.MGDA()  # or eq.UPGrad(), eq.NashMTL(), ...

    It overrides one method, ``_calculate_rewards``, which returns the rewards of all processes, and sets one tensor,
    ``reward_weights``, which the trainer reads right after. All processes see the same rewards, so they find the same
    weights. The weights keep the sum that ``GRPOConfig(reward_weights=...)`` asks for (k by default); where the trainer
    divides advantages by a standard deviation, their ratios alone matter. Rewards are weighed as the trainer adds them:
    raw with ``sum_then_normalize`` (with ``scale_rewards="group"`` it then divides by each group's deviation, which the
    prediction leaves out), normalised in each group with ``normalize_then_sum``. A reward function that returns None
    has an advantage of 0 in that row. In evaluation, and in a batch where nothing varies, the weights stay.
    The weights are logged as ``rewards/<name>/weight``.

    Tested with TRL 1.16.

    Attributes:
        reward_method: A method on Gramians.
        last_rewards: The weights of the last training batch and their predicted effect; None before it.
    """

    reward_method: ClassVar[Method] = MGDA()
    last_rewards: RewardWeights | None = None
    _reward_state: State | None = None
    _reward_total: float | None = None

    if TYPE_CHECKING:  # the trainer's
        model: Any
        num_generations: int
        multi_objective_aggregation: str
        reward_func_names: list[str]
        reward_weights: torch.Tensor
        _metrics: Any

    def _calculate_rewards(self, *arguments: Any, **more: Any) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(*arguments, **more)  # type: ignore[misc]
        if self.model.training:
            self._weigh(rewards.detach().double().cpu().numpy())
        return rewards

    def _weigh(self, rewards: np.ndarray) -> None:
        if self._reward_total is None:
            self._reward_total = float(self.reward_weights.sum())
        names = [f"{name} ({place})" for place, name in enumerate(self.reward_func_names)]  # two may share a name
        groups = np.arange(len(rewards)) // self.num_generations
        if self.multi_objective_aggregation == "normalize_then_sum":
            centre = centred(rewards, groups, names, missing="neutral")
            rewards = contributions(centre, np.ones(len(names)), "normalize_then_sum")
        found = weights(
            rewards, groups, self.reward_method, names=names, missing="neutral", state=self._reward_state
        )  # fmt: skip
        self.last_rewards, self._reward_state = found, found.state
        total = float(found.raw_weights.sum())
        if found.status != "no variance" and total > 0:
            scaled = found.raw_weights * (self._reward_total / total)
            self.reward_weights = torch.as_tensor(scaled, dtype=torch.float32)
        for name, weight in zip(self.reward_func_names, self.reward_weights.tolist(), strict=True):
            self._metrics["train"][f"rewards/{name}/weight"].append(weight)
