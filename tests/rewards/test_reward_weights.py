"""Weights of rewards: laws, NumPy's covariance, finite differences of a policy, and input that cannot be used."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import t as student

import equipoise as eq
from equipoise.errors import DataError, NonFiniteError, SettingError, TaskError
from equipoise.rewards.advantages import centred, contributions


def batch(seed, groups=12, size=6, k=3, uneven=False):
    generator = np.random.default_rng(seed)
    rewards = generator.normal(size=(groups * size, k)) @ generator.normal(size=(k, k))
    labels = generator.integers(groups, size=len(rewards)) if uneven else np.repeat(np.arange(groups), size)
    return rewards + generator.normal(size=k) * 10, labels


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_advantages_sum_to_zero_in_each_group_and_c_is_their_covariance(seed, k, uneven):
    rewards, labels = batch(seed, k=k, uneven=uneven)
    found = eq.rewards.weights(rewards, labels)
    advantages = centred(rewards, labels).values
    for label in np.unique(labels):
        assert np.allclose(advantages[labels == label].sum(axis=0), 0.0, atol=1e-11)
    means = pd.DataFrame(rewards).groupby(labels).transform("mean").to_numpy()
    scaled = (rewards - means) / (rewards - means).std(axis=0)
    assert np.allclose(found.covariance, np.cov(scaled.T, bias=True).reshape(k, k), atol=1e-10)
    assert np.allclose(found.change, found.covariance @ found.weights, atol=1e-12)
    assert np.allclose(np.diagonal(found.covariance), 1.0)
    plain = eq.rewards.weights(rewards, labels, scale=False)
    assert np.allclose(plain.covariance, np.cov((rewards - means).T, bias=True).reshape(k, k), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [True, False])
def test_the_predicted_change_is_the_derivative_of_a_tabular_policys_expected_rewards(scale):
    rewards, labels = batch(1, groups=5, size=4)
    found = eq.rewards.weights(rewards, labels, eq.UPGrad(), scale=scale)
    advantage = centred(rewards, labels).values / found.scale @ found.weights

    def expected(step):  # each prompt's completions as actions, equally likely before the update
        total = np.zeros(rewards.shape[1])
        for label in np.unique(labels):
            rows = labels == label
            chances = np.exp(step * advantage[rows])
            total += chances / chances.sum() @ rewards[rows]
        return total / len(np.unique(labels))

    slope = (expected(1e-5) - expected(-1e-5)) / 2e-5
    assert np.allclose(found.change * (found.scale if scale else 1.0), slope, rtol=1e-7, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_mgda_raises_all_where_a_linear_program_finds_an_update_that_does(seed, k):
    rewards, labels = batch(seed, groups=2, size=4, k=k)  # few rows: sometimes nothing raises all
    found = eq.rewards.weights(rewards, labels)
    advantages = centred(rewards, labels).values / found.scale
    # maximise s with A^T u >= s, |u| <= 1: 0 where no update raises all
    rows = len(advantages)
    solved = linprog(
        np.append(np.zeros(rows), -1.0), A_ub=np.column_stack([-advantages.T, np.ones(k)]), b_ub=np.zeros(k),
        bounds=[(-1, 1)] * rows + [(None, None)],
    )  # fmt: skip
    possible = -solved.fun > 1e-6
    assert (found.status == "all rise") == possible or found.margin < 1e-4
    if found.status == "all rise":
        assert (found.change > 0).all()
    # the smallest correlation is as large as any direction's: the length of the shortest combination
    assert found.margin == pytest.approx(np.sqrt(found.weights @ found.covariance @ found.weights), abs=1e-6)


def test_opposed_rewards_are_said_to_be_so():
    values = np.random.default_rng(0).normal(size=24)
    found = eq.rewards.weights(np.column_stack([values, -2 * values]), np.repeat(range(4), 6))
    assert found.status == "opposed"
    assert np.allclose(found.weights, 0.5)
    assert np.allclose(found.change, 0.0, atol=1e-12)
    three = np.column_stack([values, np.roll(values, 1), -values - np.roll(values, 1)])
    assert eq.rewards.weights(three, np.repeat(range(4), 6)).status == "opposed"


def test_units_do_not_matter_with_scale_and_the_raw_weights_make_the_same_update():
    rewards, labels = batch(3)
    units = np.array([1e-3, 1.0, 500.0])
    one, other = eq.rewards.weights(rewards, labels), eq.rewards.weights(rewards * units, labels)
    assert np.allclose(one.weights, other.weights, atol=1e-9)
    assert np.allclose(one.raw_weights, other.raw_weights * units)
    advantages = centred(rewards, labels).values
    update = advantages / one.scale @ one.weights
    assert np.allclose(update, advantages @ one.raw_weights)


def test_the_order_of_rows_and_groups_does_not_matter_nor_does_their_type():
    rewards, labels = batch(4)
    order = np.random.default_rng(0).permutation(len(rewards))
    plain = eq.rewards.weights(rewards, labels)
    mixed = eq.rewards.weights(torch.from_numpy(rewards[order]), [f"prompt {label}" for label in labels[order]])
    assert np.allclose(plain.weights, mixed.weights, atol=1e-10)
    assert np.allclose(plain.interval, mixed.interval, atol=1e-10)
    named = eq.rewards.weights(pd.DataFrame(rewards, columns=list("abc")), pd.Series(labels))
    assert named.names == ("a", "b", "c")
    assert np.array_equal(named.weights, plain.weights)


def test_one_reward_and_doubled_rewards_are_special_cases():
    rewards, labels = batch(5, k=1)
    one = eq.rewards.weights(rewards, labels)
    assert one.weights.tolist() == [1.0]
    assert one.change[0] == pytest.approx(1.0)
    assert one.margin == pytest.approx(1.0)
    twice = eq.rewards.weights(np.repeat(rewards, 2, axis=1), labels)
    assert twice.weights.sum() == pytest.approx(1.0)
    assert np.allclose(twice.change, 1.0)


def test_collapsed_groups_teach_nothing_and_are_counted():
    rewards, labels = batch(6, groups=6, size=4)
    rewards[labels < 2] = [0.1, 0.2, 0.3]  # no rounding of a mean may look like an advantage
    rewards[labels == 2, 1] = 0.7
    found = eq.rewards.weights(rewards, labels)
    assert found.groups == 6
    assert found.collapsed == 2
    assert found.collapsed_by_reward.tolist() == [2, 3, 2]
    flat = eq.rewards.weights(np.full((8, 3), 0.1), np.repeat([0, 1], 4))
    assert (flat.status, flat.collapsed, flat.margin) == ("no variance", 2, 0.0)
    assert np.allclose(flat.weights, 1 / 3)
    assert not flat.change.any()
    rewards[:, 2] = 5.0
    third = eq.rewards.weights(rewards, labels)
    assert third.weights[2] == 0.0
    assert third.raw_weights[2] == 0.0
    assert third.alignment[2] == 0.0
    assert third.status == "all rise"
    assert np.allclose(third.weights[:2], eq.rewards.weights(rewards[:, :2], labels).weights)


def test_the_interval_is_that_of_a_ratio_of_sums_over_groups():
    rewards, labels = batch(7, uneven=True)
    found = eq.rewards.effect(rewards, labels, [1.0, 1.0, 1.0], "scaled")
    advantages = centred(rewards, labels).values / centred(rewards, labels).scale
    products = advantages * advantages.sum(axis=1, keepdims=True)
    sums = pd.DataFrame(products).groupby(labels).sum().to_numpy()
    sizes = pd.Series(labels).groupby(labels).size().to_numpy()
    ratio = sums.sum(axis=0) / sizes.sum()
    count = len(sizes)
    error = np.sqrt(count / (count - 1) * ((sums - ratio * sizes[:, None]) ** 2).sum(axis=0)) / sizes.sum()
    assert np.allclose(found.change, ratio)
    assert np.allclose(found.interval[:, 1] - found.interval[:, 0], 2 * student.ppf(0.975, count - 1) * error)
    assert eq.rewards.effect(rewards[:6], [0] * 6, [1, 1, 1]).interval is None


def test_intervals_cover_the_change_over_many_groups():
    generator = np.random.default_rng(0)

    def draw(groups):
        one = generator.normal(size=(groups, 8, 1))
        return np.concatenate([one, -0.2 * one + generator.normal(size=one.shape)], axis=2).reshape(-1, 2)

    many = eq.rewards.effect(draw(20_000), np.repeat(np.arange(20_000), 8), [1, 1], "scaled").change[1]
    covered = 0
    for _ in range(200):
        found = eq.rewards.effect(draw(40), np.repeat(np.arange(40), 8), [1, 1], "scaled")
        covered += found.interval[1, 0] <= many <= found.interval[1, 1]
    assert covered >= 180  # 95 % of 200, less three standard deviations


def _grpo_by_hand(rewards, labels, weights):
    total = pd.Series(rewards @ weights)
    groups = total.groupby(labels)
    return ((total - groups.transform("mean")) / (groups.transform("std") + 1e-4)).to_numpy()


def _gdpo_by_hand(rewards, labels, weights):
    frame = pd.DataFrame(rewards)
    groups = frame.groupby(labels)
    return ((frame - groups.transform("mean")) / (groups.transform("std") + 1e-4)).to_numpy() @ weights


@pytest.mark.parametrize(
    ("aggregation", "by_hand"), [("sum_then_normalize", _grpo_by_hand), ("normalize_then_sum", _gdpo_by_hand)]
)
def test_advantages_are_those_of_the_framework(aggregation, by_hand):
    rewards, labels = batch(8)
    weights = np.array([1.0, 0.5, 2.0])
    update = contributions(centred(rewards, labels), weights, aggregation).sum(axis=1)
    assert np.allclose(update, by_hand(rewards, labels, weights), atol=1e-10)
    found = eq.rewards.effect(rewards, labels, weights, aggregation)
    advantages = centred(rewards, labels).values
    expected = [np.corrcoef(column, update)[0, 1] for column in advantages.T]
    assert np.allclose(found.alignment, expected, atol=1e-10)
    assert found.share.sum() == pytest.approx(1.0)


def test_a_missing_reward_counts_as_its_groups_mean_where_that_is_asked():
    rewards, labels = batch(9)
    rewards[[0, 7], 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"'reward1' in 2 rows.*missing=\"neutral\""):
        eq.rewards.weights(rewards, labels)
    found = eq.rewards.weights(rewards, labels, missing="neutral")
    assert found.missing.tolist() == [0, 2, 0]
    filled = rewards.copy()
    for row in (0, 7):
        filled[row, 1] = np.nanmean(rewards[labels == labels[row], 1])
    assert np.allclose(found.weights, eq.rewards.weights(filled, labels).weights, atol=1e-10)
    rewards[labels == 3, 0] = np.nan  # a group without the reward at all
    assert np.isfinite(eq.rewards.weights(rewards, labels, missing="neutral").change).all()
    rewards[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match="'reward0' in 1 rows"):
        eq.rewards.weights(rewards, labels, missing="neutral")


def test_a_method_with_memory_gets_it_back():
    rewards, labels = batch(10)
    method = eq.RGW(seed=1)
    first = eq.rewards.weights(rewards, labels, method)
    second = eq.rewards.weights(rewards, labels, method, state=first.state)
    assert first.state
    assert any(not torch.equal(first.state[key], second.state[key]) for key in first.state)


def test_what_cannot_be_used_is_refused_with_what_to_type():
    rewards, labels = batch(11)
    with pytest.raises(SettingError, match="instance of a method on Gramians"):
        eq.rewards.weights(rewards, labels, eq.MGDA)
    with pytest.raises(SettingError, match="instance of a method on Gramians"):
        eq.rewards.weights(rewards, labels, eq.LinearScalarization())
    with pytest.raises(DataError, match="one label for each of the 72 rows; found 71"):
        eq.rewards.weights(rewards, labels[1:])
    with pytest.raises(DataError, match="two rows or more of the same prompt; found 72 groups"):
        eq.rewards.weights(rewards, range(72))
    with pytest.raises(DataError, match="labels such as numbers or texts"):
        eq.rewards.weights(rewards, [[label] for label in labels])
    with pytest.raises(DataError, match=r"shape \(completions, rewards\)"):
        eq.rewards.weights(rewards[:, 0], labels)
    with pytest.raises(DataError, match="must be numbers"):
        eq.rewards.weights([["a", "b"]] * 4, [0, 0, 1, 1])
    with pytest.raises(TaskError, match="3 different ones"):
        eq.rewards.weights(rewards, labels, names=["a", "a", "b"])
    with pytest.raises(SettingError, match="one finite number for each of the 3 rewards"):
        eq.rewards.effect(rewards, labels, [1.0, np.nan, 1.0])
    with pytest.raises(SettingError, match="aggregation"):
        eq.rewards.effect(rewards, labels, [1.0, 1.0, 1.0], "sum")
    with pytest.raises(SettingError, match='"raise" or "neutral"'):
        eq.rewards.weights(rewards, labels, missing="mean")


def test_rewards_of_any_size_that_float64_can_square():
    rewards, labels = batch(12)
    plain = eq.rewards.weights(rewards, labels)
    for unit in (1e-200, 1e90):
        assert np.allclose(eq.rewards.weights(rewards * unit, labels).weights, plain.weights, atol=1e-9)
    with pytest.raises(DataError, match="at most 1e\\+100"):
        eq.rewards.weights(rewards * 1e120, labels)
