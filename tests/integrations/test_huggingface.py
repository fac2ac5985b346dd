"""The Transformers Trainer: parameters, logs and checkpoints are those of a loop written by hand."""

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR

import equipoise as eq
from equipoise.errors import LossError, SettingError, StateError
from tests.integrations.page import readme, run
from tests.integrations.small import BATCH, EPOCHS, Net, by_hand, data, distance, optimizer_of

transformers = pytest.importorskip("transformers", reason="the extra `transformers` brings it")
pytestmark = pytest.mark.filterwarnings("ignore")  # the Trainer's advice


class Trainer(eq.integrations.BalancedTrainer, transformers.Trainer):
    """The model returns its losses."""


class Items(Net):
    """A model that Transformers trusts with the division, because it takes any keywords."""

    def forward(self, x, labels, **more):
        return super().forward(x, labels)


def rows(count=40):
    return [{"x": x, "labels": y} for x, y in zip(*data(count), strict=True)]


def trainer_of(folder, balancer, kind=Trainer, model=None, optimizers=None, epochs=EPOCHS, window=1, **settings):
    model = model or Net()
    if optimizers is None:
        optimizer = optimizer_of([*model.parameters(), *balancer.parameters()])
        optimizers = (optimizer, LambdaLR(optimizer, lambda step: 1.0))
    quiet = {"report_to": [], "use_cpu": True, "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1000}
    quiet |= {"per_device_train_batch_size": BATCH, "per_device_eval_batch_size": BATCH, "dataloader_pin_memory": False}
    quiet |= {"train_sampling_strategy": "sequential", "max_grad_norm": 0.5, "num_train_epochs": epochs}
    args = transformers.TrainingArguments(str(folder), gradient_accumulation_steps=window, **{**quiet, **settings})
    return kind(model, args, train_dataset=rows(), balancer=balancer, optimizers=optimizers, eval_dataset=rows(12))


NAMED = {"tasks": ("a", "b")}
CASES = [
    (eq.CAGrad(c=0.4), {}, Net, 1),
    (eq.CAGrad(c=0.4), {}, Net, 2),
    (eq.CAGrad(c=0.4), {}, Items, 2),
    (eq.DWA(), {}, Net, 2),
    (eq.UncertaintyWeighting(), NAMED, Net, 1),
    (eq.UncertaintyWeighting(), NAMED, Items, 2),
]


@pytest.mark.parametrize(
    ("method", "settings", "kind", "window"),
    CASES,
    ids=[f"{type(m).__name__}-{k.__name__}-{w}" for m, _, k, w in CASES],
)
def test_three_epochs_are_those_of_a_loop_written_by_hand(tmp_path, method, settings, kind, window):
    """Five batches an epoch, so with windows of two the last one is short; the Trainer clips the gradients to 0.5."""
    by_loop, balancer, seen = by_hand(method, window=window, clip=0.5, steps_per_epoch="manual", **settings)
    trainer = trainer_of(
        tmp_path, eq.Balancer(method, **settings), model=kind(), window=window, logging_strategy="epoch"
    )
    trainer.train()
    assert distance(trainer.model, by_loop) == 0
    assert [*map(torch.equal, trainer.balancer.parameters(), balancer.parameters())] == [True] * len(balancer.trained)
    assert trainer.balancer.steps == balancer.steps == EPOCHS * (5 if window == 1 else 3)
    for epoch, log in enumerate(log for log in trainer.state.log_history if "loss" in log):
        micro = seen[5 * epoch : 5 * epoch + 5]
        for name in "ab":
            assert log[f"loss/{name}"] == pytest.approx(sum(losses[name] for losses in micro) / 5, rel=1e-6)
    assert log["weight/a"] != log["weight/b"]


def test_trained_parameters_join_the_optimizer_without_weight_decay(tmp_path):
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("a", "b"))
    trainer = trainer_of(tmp_path, balancer, optimizers=(None, None), weight_decay=0.1, learning_rate=0.02)
    trainer.train()
    (group,) = [g for g in trainer.optimizer.param_groups if g["params"] == list(balancer.parameters())]
    assert group["weight_decay"] == 0
    assert all(parameter.abs().max() > 0.01 for parameter in balancer.parameters())
    lacking = optimizer_of((model := Net()).parameters())
    with pytest.raises(SettingError, match="parameters that the optimizer does not have"):
        trainer_of(tmp_path, balancer, model=model, optimizers=(lacking, LambdaLR(lacking, lambda step: 1.0))).train()


class Summed(eq.integrations.BalancedTrainer, transformers.Trainer):
    """Sums divided by the number of items in the window, as language models do; labels of -100 do not count."""

    loss_is_scaled_for_ga = True

    def compute_losses(self, model, inputs, num_items_in_batch=None):
        features = model.trunk(inputs["x"]).tanh()
        kept = (inputs["labels"] != -100).float()
        items = kept.sum() if num_items_in_batch is None else num_items_in_batch
        errors = {
            n: (head(features)[:, 0] - inputs["labels"][:, i]) ** 2 for i, (n, head) in enumerate(model.heads.items())
        }
        return {n: (error * kept[:, i]).sum() * 2 / items for i, (n, error) in enumerate(errors.items())}


def test_sums_over_the_items_of_the_window_give_the_step_of_one_big_batch(tmp_path):
    """Micro-batches with different numbers of items: their own means would give another direction."""
    labelled = rows()
    for number in range(5):
        labelled[number]["labels"] = torch.full((2,), -100.0)
    ended, logged = [], []
    for batch, window in ((16, 1), (8, 2), (4, 4)):
        balancer = eq.Balancer(eq.CAGrad(c=0.4))
        settings = {"per_device_train_batch_size": batch, "max_steps": 2, "logging_steps": 1}
        trainer = trainer_of(tmp_path, balancer, Summed, window=window, **settings)
        trainer.train_dataset = labelled
        trainer.train()
        ended.append(trainer.model)
        logged.append([log for log in trainer.state.log_history if "grad_norm" in log])
    assert distance(ended[0], ended[1]) < 1e-6
    assert distance(ended[0], ended[2]) < 1e-6
    assert distance(ended[0], Net()) > 1e-2
    for name in ("loss", "loss/a", "loss/b", "weight/a"):
        assert [log[name] for log in logged[1]] == pytest.approx([log[name] for log in logged[0]], rel=1e-5)


def test_evaluation_has_the_loss_of_each_task_over_the_rows(tmp_path):
    """Twelve rows in batches of eight and four: means weigh rows, as the Trainer's own loss does."""
    trainer = trainer_of(tmp_path, eq.Balancer(eq.MGDA()))
    found = trainer.evaluate()
    with torch.no_grad():
        losses = trainer.model(*data(12))["losses"]
    assert {name: found[f"eval_loss/{name}"] for name in "ab"} == pytest.approx(
        {name: loss.item() for name, loss in losses.items()}, rel=1e-6
    )
    assert found["eval_loss"] == pytest.approx((found["eval_loss/a"] + found["eval_loss/b"]) / 2, rel=1e-6)
    assert trainer.balancer.steps == 0


def test_a_resumed_training_ends_as_the_whole_one(tmp_path):
    whole, _, _ = by_hand(eq.DWA(), clip=0.5, steps_per_epoch="manual")
    trainer_of(tmp_path, eq.Balancer(eq.DWA()), save_strategy="epoch", epochs=2).train()
    trainer = trainer_of(tmp_path, eq.Balancer(eq.DWA()))
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))
    assert distance(trainer.model, whole) == 0
    (tmp_path / "checkpoint-10" / "balancer.safetensors").unlink()
    with pytest.raises(StateError, match="must hold the Balancer and is missing"):
        trainer_of(tmp_path, eq.Balancer(eq.DWA())).train(resume_from_checkpoint=str(tmp_path / "checkpoint-10"))


def test_what_cannot_work_is_refused_with_what_to_type(tmp_path, monkeypatch):
    class Plain(Net):
        def forward(self, x, labels):
            return {"logits": self.trunk(x)}

    with pytest.raises(LossError, match=r"must hold `losses`.*found \['logits'\].*override compute_losses"):
        trainer_of(tmp_path, eq.Balancer(eq.MGDA()), model=Plain()).train()
    with pytest.raises(SettingError, match=r"`balancer` must be an eq\.Balancer"):
        trainer_of(tmp_path, torch.nn.Linear(1, 1))
    monkeypatch.setattr(transformers.TrainingArguments, "n_gpu", 2)
    with pytest.raises(SettingError, match="DataParallel over 2 GPUs"):
        trainer_of(tmp_path, eq.Balancer(eq.MGDA()))


def test_the_script_of_the_page_runs(tmp_path, monkeypatch):
    trainer = run("with_transformers", tmp_path, monkeypatch)["trainer"]
    assert trainer.balancer.steps == 6
    assert {"loss/depth", "weight/normals"} <= trainer.state.log_history[0].keys()
    assert any("eval_loss/depth" in log for log in trainer.state.log_history)
    assert len(list(tmp_path.glob("run/checkpoint-*/balancer.safetensors"))) == 3


def test_the_snippet_of_the_readme_runs(tmp_path):
    arguments = transformers.TrainingArguments(str(tmp_path), max_steps=2, report_to=[], use_cpu=True)
    names = {"transformers": transformers, "eq": eq, "arguments": arguments, "model": Net(), "rows": rows()}
    trainer = readme("class Trainer(", names)["trainer"]
    trainer.train()
    assert trainer.balancer.steps == 2
