"""What a Balancer remembers: saved, loaded, resumed, refused, and left alone."""

import copy

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import StateError
from tests.engine.comparing import every_method
from tests.engine.problems import TwoPart, batch


def run(method, steps, start=None, on_the_way=None):
    """Trains `steps` steps with three tasks; returns what is needed to go on, and that after step `on_the_way` too."""
    model = TwoPart(dtype=torch.float32)
    balancer = eq.Balancer(method, tasks=("t0", "t1", "t2"), steps_per_epoch=3, model=model)
    groups = [{"params": model.parameters()}]
    if list(balancer.parameters()):
        groups.append({"params": balancer.parameters(), "weight_decay": 0.0})
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    first = 0
    if start is not None:
        first = start["step"]
        model.load_state_dict(start["model"])
        balancer.load_state_dict(start["balancer"], strict=True)
        optimizer.load_state_dict(start["optimizer"])

    def saved(step):
        parts = {"model": model, "balancer": balancer, "optimizer": optimizer}
        return {"step": step, **{name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}}

    for step in range(first, first + steps):
        if step == on_the_way:
            halfway = saved(step)
        x, y = batch(seed=step, dtype=torch.float32)
        z = model.features(x)
        losses = model.losses(z, y)
        if step % 5 == 4:
            losses["t1"] = None  # no labels in this batch
        optimizer.zero_grad()
        balancer(losses, features=z).backward()
        optimizer.step()
    return saved(first + steps) if on_the_way is None else (saved(first + steps), halfway)


@pytest.mark.parametrize("name", list(every_method()))
def test_a_run_resumed_in_fresh_objects_equals_the_uninterrupted_one_to_the_bit(name):
    method = every_method()[name]
    whole, halfway = run(method, 40, on_the_way=20)
    resumed = run(method, 20, start=halfway)
    for part in ("model", "balancer"):
        assert whole[part].keys() == resumed[part].keys()
        for key, tensor in whole[part].items():
            # as bytes: NaN stands for "not measured yet" in some states
            assert tensor.numpy().tobytes() == resumed[part][key].numpy().tobytes(), f"{part} {key}"


@pytest.mark.parametrize("name", list(every_method()))
def test_every_state_is_plain_tensors_that_safetensors_takes(name, tmp_path):
    from safetensors.torch import load_file, save_file

    saved = run(every_method()[name], 4)["balancer"]
    save_file(saved, tmp_path / "state.safetensors")
    fresh = eq.Balancer(every_method()[name], tasks=("t0", "t1", "t2"), steps_per_epoch=3)
    fresh.load_state_dict(load_file(tmp_path / "state.safetensors"), strict=True)
    assert fresh.steps == 4


def test_a_state_loads_into_a_fresh_balancer_that_knows_no_tasks_yet_and_inside_a_model():
    saved = run(eq.DWA(), 4)["balancer"]
    outer = nn.ModuleDict({"balancer": eq.Balancer(eq.DWA(), steps_per_epoch=3)})
    outer.load_state_dict({f"balancer.{key}": value for key, value in saved.items()}, strict=True)
    assert outer["balancer"].tasks == ("t0", "t1", "t2")
    assert outer["balancer"].state["epochs"].tolist() == [1.0, 1.0, 1.0]


def test_a_state_of_other_tasks_or_another_method_is_refused_and_nothing_changes():
    saved = run(eq.DWA(), 4)["balancer"]
    other = eq.Balancer(eq.DWA(), tasks=("a", "b", "c"), steps_per_epoch=3)
    with pytest.raises(StateError, match="saved for the tasks 't0', 't1', 't2'; this Balancer has 'a', 'b', 'c'"):
        other.load_state_dict(saved)
    with pytest.raises(StateError, match=r"saved by DWA\(T=2.0\); this Balancer has DWA\(T=3.0\)"):
        eq.Balancer(eq.DWA(T=3.0), steps_per_epoch=3).load_state_dict(saved)
    with pytest.raises(StateError, match="'state_last' is missing"):
        eq.Balancer(eq.DWA(), steps_per_epoch=3).load_state_dict({k: v for k, v in saved.items() if k != "state_last"})
    assert other.steps == 0
    assert other.state["epochs"].tolist() == [0.0, 0.0, 0.0]


def test_eval_and_no_grad_return_the_mean_and_touch_nothing():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.PCGrad())
    losses = model.losses(model.features(x), y)
    mean = sum(v.item() for v in losses.values()) / 3
    balancer.eval()
    assert balancer(losses).item() == pytest.approx(mean)
    balancer.train()
    with torch.no_grad():
        assert balancer(model.losses(model.features(x), y)).item() == pytest.approx(mean)
    assert balancer.tasks is None
    assert balancer.steps == 0
