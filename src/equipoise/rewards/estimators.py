"""Advantages from several rewards, weighed by a method, in the forms that verl and NeMo-RL call."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.numbers import Array
from ..errors import SettingError, listed
from ..methods.base import Method
from .advantages import Missing, centred, contributions
from .reward_weights import RewardWeights, weights

__all__ = ["NemoAdvantageEstimator", "balanced_advantages", "verl_advantage"]


def balanced_advantages(
    rewards: Any,
    groups: Iterable[Hashable],
    method: Method | None = None,
    *,
    names: Sequence[str] | None = None,
    missing: Missing = "raise",
) -> tuple[Array, RewardWeights]:
    """GDPO's advantages with weights from a method in place of fixed ones.

    Each reward is normalised in its group, the method weighs the normalised rewards, and the weighted sum is divided
    by its standard deviation over the batch.

    Args:
        rewards: (n, k), one row a completion.
        groups: n labels, equal for completions of the same prompt.
        method: A method on Gramians; ``MGDA()`` by default.
        names: Names of the k rewards.
        missing: ``"raise"``, or ``"neutral"``: a NaN counts as the mean of its group.

    Returns:
        The advantages (n,), of mean 0 and standard deviation 1, or all 0 where nothing varies; and the weights.

    Raises:
        DataError, NonFiniteError, SettingError, TaskError: As in `weights`.

    Example:
        >>> found, balanced = balanced_advantages([[1.0, 0.0], [0.0, 0.6], [0.0, 0.0]], ["p", "p", "p"])
        >>> found.round(2), balanced.status
        (array([ 0.71,  0.71, -1.41]), 'all rise')
    """
    labels = list(groups)
    centre = centred(rewards, labels, names, missing)
    normalized = contributions(centre, np.ones(len(centre.names)), "normalize_then_sum")
    found = weights(normalized, labels, method, names=centre.names)
    update = normalized @ found.raw_weights
    size = float(update.std())
    return (update - update.mean()) / size if size > 0 else np.zeros(len(update)), found


def verl_advantage(
    token_level_rewards: Tensor,
    response_mask: Tensor,
    index: Sequence[Hashable],
    config: Any = None,
    non_tensor_batch: Mapping[str, Any] | None = None,
    method: Method | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor]:
    """An advantage estimator in the form of verl's registry, to stand in the place of its ``gdpo``.

    verl 0.9 hands the single rewards to the estimator named ``gdpo`` only, so the entry is replaced:
    ``core_algos.ADV_ESTIMATOR_REGISTRY["gdpo"] = eq.rewards.verl_advantage``, with
    ``algorithm.adv_estimator=gdpo`` and ``algorithm.gdpo_reward_keys=[...]``. ``gdpo_reward_weights`` is not read.

    Args:
        token_level_rewards: (bs, response_length); only its type and device are used.
        response_mask: (bs, response_length), 1 for the tokens of the response.
        index: (bs,) label of each row's prompt.
        config: verl's algorithm section: ``gdpo_reward_keys`` names the rewards.
        non_tensor_batch: One array of bs numbers for each of these names.
        method: A method on Gramians; ``MGDA()`` by default. Set it with ``functools.partial``.
        others: What else verl passes; not used.

    Returns:
        Advantages and returns, both (bs, response_length): one number a row on its response tokens, of mean 0 and
        variance 1 over the batch's tokens; 0 elsewhere.

    Raises:
        SettingError: The names of the rewards are missing, or the batch lacks one of them.
    """
    del others
    keys = list((config.get("gdpo_reward_keys") if config is not None else None) or ())
    held = non_tensor_batch or {}
    lacking = [key for key in keys if key not in held]
    if not keys or lacking:
        raise SettingError(
            f"algorithm.gdpo_reward_keys must name rewards that compute_score returns; found {listed(keys) or 'none'}"
            f", of which the batch lacks {listed(lacking) or 'none'}. The batch has {listed(held) or 'nothing'}."
        )
    rewards = np.column_stack([np.asarray(held[key], dtype=np.float64) for key in keys])
    found, _ = balanced_advantages(rewards, index, method, names=keys)
    tokens = torch.as_tensor(found, dtype=torch.float64, device=response_mask.device)[:, None] * response_mask
    mask = response_mask.double()
    mean = tokens.sum() / mask.sum()
    variance = ((tokens - mean) ** 2 * mask).sum() / mask.sum()
    whitened = (tokens - mean) * (variance + 1e-8).rsqrt() * mask
    advantages = whitened.to(token_level_rewards)
    return advantages, advantages


class NemoAdvantageEstimator:
    """An advantage estimator in the form of NeMo-RL's ``GDPOAdvantageEstimator``.

    NeMo-RL has no registry: assign it where the trainer builds its estimator, for example
    ``nemo_rl.algorithms.grpo.GDPOAdvantageEstimator = eq.rewards.NemoAdvantageEstimator``.

    Args:
        estimator_config: NeMo-RL's section; not read, because the method replaces its weights.
        loss_config: Settings of the loss; not read.
        method: A method on Gramians; ``MGDA()`` by default.

    Attributes:
        last: The weights of the last batch and their predicted effect.
    """

    last: RewardWeights | None = None

    def __init__(self, estimator_config: Any = None, loss_config: Any = None, method: Method | None = None) -> None:
        del estimator_config, loss_config
        self._method = method

    def compute_advantage(
        self, prompt_ids: Tensor, rewards: Tensor, mask: Tensor, repeated_batch: Mapping[str, Any], **others: Any
    ) -> Tensor:
        """Advantages (bs, response_length) of a batch.

        Args:
            prompt_ids: (bs,) or (bs, tokens): equal rows are completions of the same prompt.
            rewards: Not used: the single rewards are in the batch.
            mask: (bs, response_length), for the shape alone.
            repeated_batch: Holds the rewards as ``reward/<name>``, or ``reward1``, ``reward2``, ... in older versions.
            others: What else NeMo-RL passes; not used.

        Raises:
            SettingError: The batch holds fewer than two rewards.
        """
        del rewards, others
        keys = sorted(key for key in repeated_batch if key.startswith("reward/"))
        keys = keys or sorted(
            (key for key in repeated_batch if key.removeprefix("reward").isdigit() and key.startswith("reward")),
            key=lambda key: int(key.removeprefix("reward")),
        )
        if len(keys) < 2:
            raise SettingError(
                "the batch must hold two or more rewards, named reward/<name> or reward1, reward2, ...; found "
                f"{listed(keys) or 'none'}. With one reward use NeMo-RL's own estimator."
            )
        table = np.column_stack([torch.as_tensor(repeated_batch[key]).double().cpu().numpy() for key in keys])
        rows = prompt_ids.reshape(len(prompt_ids), -1).tolist()
        found, self.last = balanced_advantages(table, list(map(tuple, rows)), self._method, names=keys)
        return torch.as_tensor(found, dtype=torch.float32, device=mask.device)[:, None].expand(mask.shape)
