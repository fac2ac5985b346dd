"""Advantages in the forms that verl and NeMo-RL call, without these frameworks."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError
from equipoise.rewards import NemoAdvantageEstimator, balanced_advantages, verl_advantage

LABELS = np.repeat(np.arange(6), 4)


@pytest.fixture
def rewards():
    return np.random.default_rng(0).normal(size=(24, 3)) * [1.0, 50.0, 0.1]


def test_advantages_have_mean_zero_and_unit_variance_and_raise_every_reward(rewards):
    found, balanced = balanced_advantages(rewards, LABELS)
    assert found.mean() == pytest.approx(0.0, abs=1e-12)
    assert found.std() == pytest.approx(1.0)
    assert balanced.status == "all rise"
    normalized = rewards.reshape(6, 4, 3)
    normalized = (normalized - normalized.mean(axis=1, keepdims=True)) / normalized.std(axis=1, ddof=1, keepdims=True)
    assert (normalized.reshape(-1, 3).T @ found > 0).all()


def test_nothing_that_varies_gives_zeros():
    found, balanced = balanced_advantages(np.ones((24, 2)), LABELS)
    assert not found.any()
    assert balanced.status == "no variance"


class Config(dict):
    """verl's configuration answers `get`, as a mapping does."""


def _verl(rewards, **changes):
    mask = torch.zeros(24, 7)
    for row in range(24):
        mask[row, : 2 + row % 6] = 1
    arguments = {
        "token_level_rewards": torch.zeros(24, 7),
        "response_mask": mask,
        "index": np.array([f"uid{label}" for label in LABELS], dtype=object),
        "config": Config(gdpo_reward_keys=["a", "b", "c"], gdpo_reward_weights=None),
        "non_tensor_batch": {"a": rewards[:, 0], "b": rewards[:, 1], "c": rewards[:, 2], "uid": LABELS},
        "batch": {},
        "epsilon": 1e-6,
        "norm_adv_by_std_in_grpo": True,
    }
    return mask, verl_advantage(**arguments | changes)


def test_verl_gets_one_number_a_row_on_its_tokens_whitened_over_all_tokens(rewards):
    mask, (advantages, returns) = _verl(rewards)
    assert torch.equal(advantages, returns)
    assert advantages.dtype == torch.float32
    assert not advantages[mask == 0].any()
    rows = advantages[:, 0]
    assert torch.equal(advantages, rows[:, None] * mask)
    expected, _ = balanced_advantages(rewards, LABELS)
    assert np.corrcoef(rows, expected)[0, 1] == pytest.approx(1.0)
    tokens = advantages[mask == 1]
    assert tokens.mean() == pytest.approx(0.0, abs=1e-6)
    assert tokens.var(unbiased=False) == pytest.approx(1.0, abs=1e-5)


def test_verl_takes_another_method(rewards):
    _, (one, _) = _verl(rewards)
    _, (other, _) = _verl(rewards, method=eq.NashMTL())
    assert not torch.allclose(one, other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": Config()}, "must name rewards"),
        ({"config": None}, "must name rewards"),
        ({"non_tensor_batch": {"a": np.zeros(24)}}, "lacks 'b', 'c'"),
    ],
    ids=["no keys", "no config", "absent rewards"],
)
def test_verl_is_told_what_is_missing(rewards, changes, words):
    with pytest.raises(SettingError, match=words):
        _verl(rewards, **changes)


def test_nemo_finds_its_rewards_by_name_and_groups_by_prompt(rewards):
    estimator = NemoAdvantageEstimator({"use_leave_one_out_baseline": True}, {})
    prompts = torch.stack([torch.full((5,), label) for label in LABELS])
    mask = torch.ones(24, 7)
    named = {f"reward/{name}": torch.from_numpy(rewards[:, i]) for i, name in enumerate("abc")} | {"length": mask}
    found = estimator.compute_advantage(prompts, torch.zeros(24), mask, named, logprobs_policy=None)
    expected, balanced = balanced_advantages(rewards, LABELS)
    assert found.shape == (24, 7)
    assert np.allclose(found[:, 3], expected, atol=1e-6)
    assert np.allclose(estimator.last.weights, balanced.weights)
    counted = {f"reward{i + 1}": torch.from_numpy(rewards[:, i]) for i in range(3)} | {"rewards": mask}
    assert torch.equal(estimator.compute_advantage(torch.tensor(LABELS), torch.zeros(24), mask, counted), found)


def test_nemo_needs_two_rewards(rewards):
    with pytest.raises(SettingError, match=r"two or more rewards.*found none"):
        NemoAdvantageEstimator().compute_advantage(torch.tensor(LABELS), torch.zeros(24), torch.ones(24, 7), {})
