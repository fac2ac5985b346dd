"""What several ranks can do wrong: every rank stops, in one sentence, and none waits for the others."""

import pytest
import torch

import equipoise as eq

from . import wrong
from .pool import Pool

REFUSED = {
    "other tasks": "differ in tasks (['t0', 't1', 't2'] on rank 0 and ['a', 'b', 't2'] on rank 1)",
    "another number of tasks": "differ in tasks (['t0', 't1', 't2'] on rank 0 and ['t0', 't1'] on rank 1)",
    "another method": " on rank 0 and \"CAGrad(c=0.4, rescale='1+c^2')\" on rank 1)",
    "other settings": "differ in heads (\"'own'\" on rank 0 and \"'weighted'\" on rank 1); scale (",
    "another version": " on rank 0 and '0.0.0' on rank 1)",
    "static graph": "DistributedDataParallel(static_graph=True) takes the first backward pass for yours",
    "reentrant checkpointing": "checkpointed with use_reentrant=True",
    "absent without model": "without `model=` parameters are told apart by order alone",
    "different parameters": "before the first step these differ: 'trunk.0.weight' (1 of ",
    "not averaged": "after 1 step these differ: 'trunk.0.weight', 'trunk.0.bias'",
    "uneven and not read": "how many rows a loss of 't0', 't1' stands for cannot be read",
    "every task absent": "every task is absent from this step on all ranks",
    "weighted value": "value='weighted' is the value of one rank's losses",
    "wrong rows": "`rows` must hold numbers of rows",
}


@pytest.mark.parametrize("name", REFUSED)
def test_all_ranks_stop_with_the_same_reason(pool, name):
    found = pool.run(2, wrong.refused, name)
    assert all(REFUSED[name] in words for words in found), found
    assert pool.run(2, wrong.works) == [True, True]  # the ranks are still in step


ONE = {
    "detached loss": ("LossError", "has no grad_fn"),
    "unknown task": ("TaskError", "unknown: 'other'"),
    "passes fail": ("RuntimeError", "broken backward"),
    "another preference": ("PreferenceError", "cannot honour a preference"),
}


@pytest.mark.parametrize("name", ONE)
def test_an_error_on_one_rank_is_told_to_the_others(pool, name):
    kind, words = ONE[name]
    first, second = pool.run(2, wrong.refused, name)
    assert words in second
    assert f"one could not; rank 1: {kind}: " in first
    assert words in first
    assert pool.run(2, wrong.works) == [True, True]


def test_ddp_over_other_ranks_is_refused(pool):
    words = "DistributedDataParallel averages over the ranks [0, 1, 2, 3], the Balancer merges over [0, 1]"
    found = pool.run(4, wrong.another_group)
    assert [words in text for text in found] == [True, True, False, False]


def test_calls_that_differ_are_named(pool):
    found = pool.run(2, wrong.refused, "another number of micro-batches")
    assert all("differ in micro-batches a window (1 on rank 0 and 2 on rank 1)" in words for words in found)


@pytest.mark.parametrize("where", ["loss", "trunk", "head"])
@pytest.mark.parametrize("wrap", ["ddp", ""])
@pytest.mark.parametrize("method", [eq.MGDA(), eq.GradDrop()], ids=["gramian", "jacobian"])
def test_all_ranks_decide_alike_about_nan_on_one(pool, where, wrap, method):
    for first, second in [pool.run(2, wrong.nan_on_rank_1, method, where, wrap)]:
        assert first == second | {"note": first["note"]}
        assert "'t1'" in first["raise"]
        assert first["skip"] == {"SOLVED": 1, "skipped t1": 1}
        assert first["propagate"] == (True, {"propagated": 1})
        assert torch.equal(first["state"], torch.zeros(1))  # nothing moved where it raised
        assert "rank 1 has 't0'" in second["note"]


def test_nan_on_one_rank_and_a_method_on_losses(pool):
    first, second = pool.run(2, wrong.nan_on_rank_1, eq.Tchebycheff(), "loss", "ddp")
    assert first["raise"] == second["raise"]
    assert first["skip"] == second["skip"] == {"SOLVED": 1, "skipped t1": 1}
    assert first["propagate"] == second["propagate"] == (True, {"propagated": 1})


@pytest.mark.parametrize("how", ["dies", "stops calling"])
def test_ranks_that_wait_for_one_that_is_gone_stop_with_a_sentence(tmp_path, how):
    ranks = Pool(2, tmp_path / "meeting", timeout=4.0)
    try:
        (first, words), second = ranks.all(2, wrong.gone, how)
        assert first == "ok"
        assert "rank 0 of 2 got no answer from the others: a rank has stopped" in words
        assert second[0] == ("dead" if how == "dies" else "ok")
    finally:
        ranks.close()


def test_ranks_without_a_process_group(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(eq.errors.SettingError, match="this is one of 2 ranks, and there is no process group"):
        eq.Balancer(eq.MGDA())([w.sum(), w.square().sum()])
    eq.Balancer(eq.MGDA(), process_group="none")([w.sum(), w.square().sum()]).backward()
    torch.testing.assert_close(w.grad, torch.tensor([1.0, 1.0]))  # the shorter of two parallel gradients


def test_settings_are_refused_by_name():
    with pytest.raises(eq.errors.SettingError, match=r"process_group='all' .*check_replicas=-1"):
        eq.Balancer(eq.MGDA(), process_group="all", check_replicas=-1)
