"""States over ranks: they stay equal, resume, merge by the declared rules, and a drift is noticed."""

import pytest
import torch

import equipoise as eq

from . import states


@pytest.mark.parametrize(("every", "noticed"), [(1, 3), (2, 4), (5, 5), (0, 8)])
def test_a_change_of_one_bit_on_one_rank_is_noticed_and_named(pool, every, noticed):
    for step, words in pool.run(2, states.drifts, every):
        assert step == noticed
        assert not every or f"after {noticed} steps these differ: 'heads.2.bias' (1 of 10 compared)" in words


@pytest.mark.parametrize(
    "method", [eq.MoCo(), eq.RLW(), eq.UncertaintyWeighting()], ids=lambda method: type(method).__name__
)
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(pool, method):
    for through, resumed in pool.run(2, states.resumes, method):
        assert torch.equal(through, resumed)


def test_a_state_loaded_on_one_rank_only_is_refused(pool):
    found = pool.run(2, states.loads_on_one)
    assert all("differ in number of steps so far (0 on rank 0 and 1 on rank 1)" in words for words in found)


def test_losses_observed_after_the_step_are_those_of_all_rows(pool):
    ranks, (logits, parameters) = pool.run(2, states.observes), states.observes(None)
    assert torch.equal(ranks[0][0], ranks[1][0])
    torch.testing.assert_close(ranks[0][0], logits, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(ranks[0][1], parameters, rtol=1e-10, atol=1e-12)


RULES = {
    "mean": lambda a, b: (a + b) / 2,
    "sum": lambda a, b: a + b,
    "min": torch.minimum,
    "max": torch.maximum,
    "same": lambda a, b: a,
}


@pytest.mark.parametrize(
    "method", [eq.DWA(), eq.SmoothTchebycheff(), eq.SLAW()], ids=lambda method: type(method).__name__
)
def test_states_of_ranks_that_trained_apart_merge_as_declared(pool, method):
    (before, after), (other, others) = pool.run(2, states.merges, method)
    rules = {tensor.name: tensor.merge for tensor in method.state_tensors}
    assert any(not torch.equal(before[name], other[name]) for name in before)
    for name, tensor in after.items():
        wanted = RULES[rules[name]](before[name], other[name])
        for found in (tensor, others[name]):
            torch.testing.assert_close(found, wanted, rtol=1e-15, atol=0.0, equal_nan=True)


def test_counters_that_differ_cannot_be_merged(pool):
    found = pool.run(2, states.counts_apart)
    assert all("before the states are merged, these differ: 'step'" in words for words in found)


def test_a_weighted_sum_under_ddp_is_the_hand_written_one_to_the_bit(pool):
    assert pool.run(2, states.written_by_hand) == [True, True]
