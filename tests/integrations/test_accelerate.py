"""Accelerate needs no adapter: the Balancer's line, its windows and its checkpoint work as they are."""

import pytest
import torch
from torch import nn

import equipoise as eq
from tests.integrations.page import readme, run
from tests.integrations.small import BATCH, EPOCHS, Net, by_hand, data, distance, optimizer_of

accelerate = pytest.importorskip("accelerate", reason="the extra `transformers` brings it")


def train(accelerator, balancer, epochs=EPOCHS, window=1, load=None, batch=BATCH):
    model = Net()
    optimizer = optimizer_of([*model.parameters(), *balancer.parameters()])
    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=batch)
    model, optimizer, rows = accelerator.prepare(model, optimizer, rows)
    accelerator.register_for_checkpointing(balancer)
    if load is not None:
        accelerator.load_state(load)
    if window > 1:
        balancer.accumulate(window, divided=True)
    for _ in range(epochs):
        for x, labels in rows:
            with accelerator.accumulate(model):
                loss = balancer(model(x, labels)["losses"], flush=accelerator.sync_gradients)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 0.5)
                optimizer.step()
                optimizer.zero_grad()
        balancer.end_epoch()
    return accelerator.unwrap_model(model)


def accelerator_of(window=1):
    return accelerate.Accelerator(gradient_accumulation_steps=window, cpu=True)


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("method", [eq.CAGrad(c=0.4), eq.DWA()], ids=repr)
def test_three_epochs_are_those_of_a_loop_written_by_hand(method, window):
    by_loop, _, _ = by_hand(method, window=window, clip=0.5, steps_per_epoch="manual")
    balancer = eq.Balancer(method, steps_per_epoch="manual")
    assert distance(train(accelerator_of(window), balancer, window=window), by_loop) == 0
    assert balancer.steps == EPOCHS * (5 if window == 1 else 3)


def test_a_saved_balancer_goes_on_to_the_bit(tmp_path):
    whole, _, _ = by_hand(eq.DWA(), clip=0.5, steps_per_epoch="manual")
    accelerator = accelerator_of()
    train(accelerator, eq.Balancer(eq.DWA(), steps_per_epoch="manual"), epochs=2)
    accelerator.save_state(tmp_path)
    ended = train(accelerator_of(), eq.Balancer(eq.DWA(), steps_per_epoch="manual"), epochs=1, load=tmp_path)
    assert distance(ended, whole) == 0
    assert isinstance(ended, nn.Module)


@pytest.mark.filterwarnings("ignore")
def test_the_script_of_the_page_runs(tmp_path, monkeypatch, capsys):
    assert run("with_accelerate", tmp_path, monkeypatch)["balancer"].steps == 6
    assert "depth" in capsys.readouterr().out


def test_the_snippet_of_the_readme_runs():
    accelerator, model = accelerator_of(2), Net()
    rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data()), batch_size=BATCH)
    model, optimizer, rows = accelerator.prepare(model, optimizer_of(model.parameters()), rows)
    names = {"accelerator": accelerator, "eq": eq, "model": model, "optimizer": optimizer, "loader": rows}
    assert readme("balancer = eq.Balancer", names)["balancer"].steps == 3
