"""Copies from the device to the host in a steady step, counted without a device; and the script for devices."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import equipoise as eq

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, BENCHMARKS)
    try:
        import gpu
        import host_copies
    finally:
        sys.path.remove(BENCHMARKS)
    return gpu, host_copies.host_copies


@pytest.mark.parametrize(
    ("width", "rows", "featured", "copies"),
    [
        (16, 32, False, 2),  # the losses before the passes; the Gramian and the heads' check after them
        (16, 32, True, 2),
        (300, 320, False, 2),  # gradients formed
        (300, 320, True, 4),  # besides: whether rows have one owner, whether tasks depend on each other
        (300, 130, False, 3),  # besides: whether rounded products can be trusted
    ],
)
def test_a_steady_step_reads_the_device_a_few_times_however_many_tasks(scripts, width, rows, featured, copies):
    for k in (3, 6):
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        heads = nn.ModuleList([nn.Linear(width, 1) for _ in range(k)])
        x, balancer = torch.randn(rows, 5), eq.Balancer(eq.MGDA())
        for _ in range(4):
            with scripts[1](x, *trunk.parameters(), *heads.parameters()) as counted:
                z = trunk(x)
                loss = balancer([head(z).square().mean() for head in heads], features=z if featured else None)
            loss.backward()
        assert sum(counted.values()) == copies, dict(counted)


def test_the_counter_sees_reads_of_what_lies_on_the_device_alone(scripts):
    values, host = torch.ones(3), torch.ones(3)
    with scripts[1](values) as counted:
        copied = (values + 1).cpu()
        numbers = [copied.tolist(), bool(values[0] > 0), float(host.sum()), (host + values).sum().item()]
    assert numbers == [[2.0, 2.0, 2.0], True, 3.0, 6.0]
    assert dict(counted) == {"outside .cpu": 1, "outside .__bool__": 1, "outside .item": 1}


def test_the_script_for_devices_finds_a_wrong_gradient_and_agrees_with_itself(scripts):
    gpu, cpu = scripts[0], torch.device("cpu")
    assert gpu.check(cpu, {"engine owned rows"}, float("inf")) == {"engine owned rows": 0.0}
    assert gpu.check(cpu, {"engine owned rows"}, 0.0) == {"engine owned rows": "left out: no time"}
    one = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    assert gpu.difference(one, one) == 0
    assert gpu.difference([one[0] + 2e-3, one[1]], one) == pytest.approx(1e-3, rel=1e-4)
    assert gpu.difference([one[0] * torch.nan, one[1]], one) == gpu.difference(one[:1], one) == float("inf")
    assert gpu.faults({"a": 1e-9, "b": 1e-3, "c": "raised X", "d": "left out: no time"}) == ["b: 0.001", "c: raised X"]


def test_every_method_and_every_way_to_get_gradients_is_among_the_checks(scripts):
    names = {name for name, _, _ in scripts[0].cases()}
    assert {f"method {name}" for name in eq.methods.table} <= names
    assert {"engine sketch", "engine features", "engine last layer", "engine every second step"} <= names
