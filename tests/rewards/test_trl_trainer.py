"""The mixin in TRL's own trainer: a tiny model from its configuration, a few steps on the CPU, the files it writes."""

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.rewards import BalancedRewards


class Fake:
    """As much of a trainer as the mixin touches."""

    def __init__(self, rewards, training=True, aggregation="sum_then_normalize"):
        self.rewards = rewards
        self.model = torch.nn.Linear(1, 1).train(training)
        self.num_generations = 4
        self.multi_objective_aggregation = aggregation
        self.reward_func_names = [f"r{i}" for i in range(rewards.shape[1])]
        self.reward_weights = torch.ones(rewards.shape[1])
        self._metrics = {"train": _Lists(), "eval": _Lists()}

    def _calculate_rewards(self, inputs):
        return self.rewards


class _Lists(dict):
    def __missing__(self, key):
        self[key] = []
        return self[key]


class Trainer(BalancedRewards, Fake):
    pass


def _rewards(seed=0, rows=32, k=3):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, k))) * torch.tensor([1.0, 100.0, 0.01])


def test_the_weights_are_those_of_the_function_and_keep_the_sum():
    rewards = _rewards()
    trainer = Trainer(rewards)
    assert trainer._calculate_rewards([]) is rewards
    expected = eq.rewards.weights(rewards, np.repeat(np.arange(8), 4)).raw_weights
    assert torch.allclose(trainer.reward_weights, torch.tensor(3 * expected / expected.sum(), dtype=torch.float32))
    assert trainer.reward_weights.sum() == pytest.approx(3.0)
    assert trainer._metrics["train"]["rewards/r1/weight"] == [pytest.approx(float(trainer.reward_weights[1]))]


def test_evaluation_and_collapsed_batches_leave_the_weights_alone():
    trainer = Trainer(_rewards(), training=False)
    trainer._calculate_rewards([])
    assert trainer.reward_weights.tolist() == [1.0, 1.0, 1.0]
    trainer = Trainer(torch.ones(8, 3))
    trainer._calculate_rewards([])
    assert trainer.reward_weights.tolist() == [1.0, 1.0, 1.0]
    assert trainer.last_rewards.status == "no variance"


def test_a_reward_that_does_not_apply_is_neutral():
    rewards = _rewards()
    rewards[3, 1] = torch.nan
    trainer = Trainer(rewards)
    trainer._calculate_rewards([])
    assert torch.isfinite(trainer.reward_weights).all()
    assert trainer.last_rewards.missing.tolist() == [0, 1, 0]


def test_with_gdpo_the_normalised_rewards_are_weighed_so_no_unit_matters():
    one, two = (
        Trainer(_rewards(), aggregation="normalize_then_sum"),
        Trainer(_rewards() * torch.tensor([5.0, 7.0, 11.0]), aggregation="normalize_then_sum"),
    )
    one._calculate_rewards([])
    two._calculate_rewards([])
    assert torch.allclose(one.reward_weights, two.reward_weights, rtol=2e-2)  # 1e-4 is added to each deviation
    raw = Trainer(_rewards())
    raw._calculate_rewards([])
    assert not torch.allclose(one.reward_weights, raw.reward_weights, rtol=0.5)


# -- the real trainer -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three steps of TRL's trainer with the mixin: the trainer and its folder."""
    pytest.importorskip("trl", reason="TRL is not installed: the extra `trl` brings it", exc_type=ImportError)
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(30))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<eos>")
    torch.manual_seed(0)
    size = {"n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), bos_token_id=1, eos_token_id=1, pad_token_id=0, **size))

    def short(completions, **_):
        return [-len(text.split()) / 8 for text in completions]

    def varied(completions, **_):
        return [len(set(text.split())) / 8 for text in completions]

    def sometimes(completions, **_):
        return [None if i % 5 == 0 else float("w3" in text) for i, text in enumerate(completions)]

    class Balanced(BalancedRewards, GRPOTrainer):
        reward_method = eq.MGDA()

    folder = tmp_path_factory.mktemp("grpo")
    trainer = Balanced(
        model=model,
        reward_funcs=[short, varied, sometimes],
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": [f"w{i} w{i + 1}" for i in range(8)]}),
        args=GRPOConfig(
            output_dir=str(folder), use_cpu=True, max_steps=3, per_device_train_batch_size=16, num_generations=4,
            max_completion_length=8, logging_steps=1, log_completions=True, report_to=[], save_strategy="no", seed=0,
            disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    return trainer, folder


@pytest.mark.filterwarnings("ignore")
def test_trl_trains_with_weights_that_change(trained):
    trainer, _ = trained
    assert trainer.state.global_step == 3
    names = ("short", "varied", "sometimes")
    logged = [[line[f"rewards/{name}/weight"] for name in names] for line in trainer.state.log_history[:3]]
    assert np.allclose(np.sum(logged, axis=1), 3.0, atol=1e-5)
    assert len({tuple(line) for line in logged}) == 3
    assert trainer.reward_weights.tolist() == pytest.approx(logged[-1])
    assert trainer.last_rewards.rows == 16
    assert trainer.last_rewards.groups == 4


@pytest.mark.filterwarnings("ignore")
def test_the_file_that_trl_writes_gives_the_weights_that_it_used(trained, monkeypatch):
    from typer.testing import CliRunner

    from equipoise.cli.app import app
    from equipoise.core.records.rewards import RewardsRecord

    trainer, folder = trained
    files = sorted((folder / "completions").glob("*.parquet"))
    assert len(files) == 3
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(
        app, ["rewards", *map(str, files), "--group", "prompt", "--rewards", "short,varied,sometimes", "-o", "out"]
    )
    assert done.exit_code == 0, done.output
    record = RewardsRecord.model_validate_json((folder / "out/record.json").read_text())
    assert record.rows == 48
    assert [line.step for line in record.steps] == [1, 2, 3]
    used = trainer.last_rewards
    assert np.allclose(record.steps[-1].weights, used.weights, atol=1e-5)
