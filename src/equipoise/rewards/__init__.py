"""Training with several rewards: weights from the rewards' own covariance, without a gradient of the model.

`weights` and `effect` work on arrays; `BalancedRewards` puts them into TRL's ``GRPOTrainer``, `verl_advantage` and
`NemoAdvantageEstimator` have the form that verl and NeMo-RL expect. Nothing here imports these frameworks.
"""

from .estimators import NemoAdvantageEstimator, balanced_advantages, verl_advantage
from .reward_weights import RewardEffect, RewardWeights, effect, weights
from .trl_trainer import BalancedRewards

__all__ = [
    "BalancedRewards",
    "NemoAdvantageEstimator",
    "RewardEffect",
    "RewardWeights",
    "balanced_advantages",
    "effect",
    "verl_advantage",
    "weights",
]
