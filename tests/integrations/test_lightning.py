"""Lightning: the parameters of three epochs are those of a loop written by hand, to the bit."""

import csv
from pathlib import Path

import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError, StateError
from tests.integrations.page import readme, run
from tests.integrations.small import BATCH, EPOCHS, Net, by_hand, data, distance, optimizer_of

lightning = pytest.importorskip("lightning.pytorch", reason="the extra `lightning` brings it")
pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice about workers and loggers


class Module(lightning.LightningModule):
    def __init__(self, balancer=None, outside=None):
        super().__init__()
        self.net = Net()
        if balancer is not None:
            self.balancer = balancer
        self.call = [balancer or outside]  # in a list it is no submodule

    def training_step(self, batch, batch_idx):
        return self.call[0](self.net(*batch)["losses"])

    def configure_optimizers(self):
        return optimizer_of(self.parameters())


def trainer_of(folder, callbacks=(), **settings):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    quiet |= {"enable_checkpointing": False, "max_epochs": EPOCHS}
    return lightning.Trainer(default_root_dir=folder, callbacks=list(callbacks), **{**quiet, **settings})


def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)


def trained(folder, balancer, **settings):
    module, callback = Module(balancer), eq.integrations.lightning_callback()
    trainer = trainer_of(folder, [callback], **settings)
    trainer.fit(module, loader())
    return module, trainer


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (eq.CAGrad(c=0.4), {}),
        (eq.DWA(), {"steps_per_epoch": "manual"}),
        (eq.UncertaintyWeighting(), {"tasks": ("a", "b")}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_three_epochs_are_those_of_a_loop_written_by_hand(tmp_path, method, settings, window):
    """Five batches an epoch, so with windows of two the last one is short."""
    by_loop, balancer, _ = by_hand(method, window=window, **settings)
    module, _ = trained(tmp_path, eq.Balancer(method, **settings), accumulate_grad_batches=window)
    assert distance(module.net, by_loop) == 0
    assert module.balancer.steps == balancer.steps == EPOCHS * (5 if window == 1 else 3)
    assert module.balancer.accumulation is None
    assert all(torch.equal(module.balancer.state[name], balancer.state[name]) for name in balancer.state)


def test_the_number_of_micro_batches_may_change_between_epochs(tmp_path):
    from lightning.pytorch.callbacks import GradientAccumulationScheduler

    module = Module(eq.Balancer(eq.MGDA()))
    callbacks = [eq.integrations.lightning_callback(), GradientAccumulationScheduler({0: 1, 2: 2})]
    trainer_of(tmp_path, callbacks).fit(module, loader())
    assert module.balancer.steps == 5 + 5 + 3


def test_losses_and_weights_are_logged(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path)
    module, _ = trained(tmp_path, eq.Balancer(eq.MGDA()), logger=logger, log_every_n_steps=1)
    with (Path(logger.log_dir) / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    found = module.balancer.last
    assert {name: float(last[f"loss/{name}"]) for name in "ab"} == pytest.approx(found.losses, rel=1e-6)
    assert [float(last[f"weight/{name}"]) for name in "ab"] == pytest.approx(found.weights.tolist(), rel=1e-6)


def test_a_balancer_inside_and_one_outside_the_module_resume_to_the_bit(tmp_path):
    whole, _, _ = by_hand(eq.DWA(), steps_per_epoch="manual")
    for outside in (False, True):
        ended = []
        for epochs in (2, EPOCHS):
            balancer = eq.Balancer(eq.DWA())
            module = Module(outside=balancer) if outside else Module(balancer)
            callback = eq.integrations.lightning_callback(balancer if outside else None)
            trainer = trainer_of(tmp_path, [callback], max_epochs=epochs)
            trainer.fit(module, loader(), ckpt_path=None if epochs == 2 else tmp_path / "saved.ckpt")
            trainer.save_checkpoint(tmp_path / "saved.ckpt")
            ended.append(module.net)
        assert distance(ended[0], whole) > 0
        assert distance(ended[1], whole) == 0


def test_what_cannot_work_is_refused_with_what_to_type(tmp_path):
    with pytest.raises(SettingError, match="found none: name it"):
        trainer_of(tmp_path, [eq.integrations.lightning_callback()]).fit(
            Module(outside=eq.Balancer(eq.MGDA())), loader()
        )
    module = Module(outside=(outside := eq.Balancer(eq.DWA())))
    trainer = trainer_of(tmp_path, max_epochs=0)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    callback = eq.integrations.lightning_callback(outside)
    with pytest.raises(StateError, match="holds no state of the Balancer"):
        trainer_of(tmp_path, [callback]).fit(module, loader(), ckpt_path=tmp_path / "plain.ckpt")
    with pytest.raises(SettingError, match=r"must be an eq\.Balancer or None"):
        eq.integrations.lightning_callback(eq.MGDA())


def test_a_failure_leaves_the_balancer_usable(tmp_path):
    module = Module(eq.Balancer(eq.MGDA()))
    module.on_after_backward = _fail
    with pytest.raises(KeyError):
        trainer_of(tmp_path, [eq.integrations.lightning_callback()], accumulate_grad_batches=2).fit(module, loader())
    assert module.balancer.waiting == 0
    assert not module.balancer._forward_pre_hooks
    module.training_step(data(), 0).backward()
    assert module.net.trunk.weight.grad is not None


def _fail():
    raise KeyError("on purpose")


def test_the_script_of_the_page_runs(tmp_path, monkeypatch, capsys):
    names = run("with_lightning", tmp_path, monkeypatch)
    assert names["module"].balancer.steps == 6  # 4 batches an epoch in windows of 2
    assert {"loss/depth", "loss/normals", "weight/depth", "weight/normals"} <= names["trainer"].callback_metrics.keys()


def test_the_snippet_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = readme("class Module(L.", {"L": lightning, "eq": eq, "torch": torch, "__name__": "snippet"})
    names["trainer"].fit(module := names["Module"](Net()), loader())
    assert module.balancer.steps == 9
