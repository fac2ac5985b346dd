"""What version 0.1.0 left behind still loads, resumes to the bit, goes on and renders.

The files in ``tests/fixtures/0.1.0`` were written by that version with this file as a script::

    python tests/unit/test_earlier_versions.py FOLDER

They are never written again: a change that this file refuses would lose what users have on their disks.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import equipoise as eq
from equipoise.audits.run_folder import read_records
from equipoise.cli.app import app
from equipoise.training.recording.folder import read_training

FIXTURES = Path(__file__).parents[1] / "fixtures" / "0.1.0"
NAMES = ("a", "b", "c")
BEFORE, AFTER = 8, 4

BALANCERS = {
    "Averaged": lambda: eq.Balancer(eq.Averaged()),
    "CoVWeighting": lambda: eq.Balancer(eq.CoVWeighting()),
    "DWA": lambda: eq.Balancer(eq.DWA(), steps_per_epoch=3),
    "FAMO": lambda: eq.Balancer(eq.FAMO()),
    "IMTL": lambda: eq.Balancer(eq.IMTL(), tasks=NAMES),
    "IMTLL": lambda: eq.Balancer(eq.IMTLL(), tasks=NAMES),
    "OMDTchebycheff": lambda: eq.Balancer(eq.OMDTchebycheff()),
    "RLW": lambda: eq.Balancer(eq.RLW()),
    "ReLoBRaLo": lambda: eq.Balancer(eq.ReLoBRaLo()),
    "SLAW": lambda: eq.Balancer(eq.SLAW()),
    "SmoothTchebycheff": lambda: eq.Balancer(eq.SmoothTchebycheff(), steps_per_epoch=3),
    "SoftAdapt": lambda: eq.Balancer(eq.SoftAdapt()),
    "Tchebycheff": lambda: eq.Balancer(eq.Tchebycheff()),
    "UncertaintyWeighting": lambda: eq.Balancer(eq.UncertaintyWeighting(), tasks=NAMES),
    "GradNorm": lambda: eq.Balancer(eq.GradNorm()),
    "GradVac": lambda: eq.Balancer(eq.GradVac()),
    "NashMTL": lambda: eq.Balancer(eq.NashMTL(every=3)),
    "PCGrad": lambda: eq.Balancer(eq.PCGrad()),
    "DBMTL": lambda: eq.Balancer(eq.DBMTL()),
    "ExcessMTL": lambda: eq.Balancer(eq.ExcessMTL()),
    "GradDrop": lambda: eq.Balancer(eq.GradDrop()),
    "MoCo": lambda: eq.Balancer(eq.MoCo()),
    "Smoothed": lambda: eq.Balancer(eq.Smoothed(eq.MGDA())),
    "MGDA every third step": lambda: eq.Balancer(eq.MGDA(), gradients=eq.Every(3)),
    "Smoothed by tensor": lambda: eq.Balancer(eq.Smoothed(eq.MGDA()), granularity="tensor"),
}


class Steps:
    """Three losses of two shared tensors, element by element, so that every machine gets the same bits."""

    def __init__(self, balancer):
        self.balancer = balancer
        self.shared = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([1.0, -2.0, 0.5], [0.25])]

    def losses(self):
        weight, shift = self.shared
        aims = torch.tensor([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5], [-1.0, 0.5, -2.0]], dtype=torch.float64)
        scales = (1.0, 4.0, 0.25)
        errors = [(weight * (i + 1) + shift - aim).square().mean() for i, aim in enumerate(aims)]
        return {name: 0.5 + s * error for name, s, error in zip(NAMES, scales, errors, strict=True)}

    def step(self):
        losses = self.losses()
        moved = [*self.shared, *self.balancer.parameters()]
        for tensor in moved:
            tensor.grad = None
        self.balancer(losses).backward()
        moved = [*self.shared, *self.balancer.parameters()]
        with torch.no_grad():
            for tensor in moved:
                if tensor.grad is not None:
                    tensor -= 0.03125 * tensor.grad
        if isinstance(self.balancer.method, eq.FAMO):
            self.balancer.observe(self.losses())
        weights = self.balancer.last.weights
        return {
            "losses": [float(loss.detach()) for loss in losses.values()],
            "weights": None if weights is None else weights.tolist(),
            "shared": [tensor.tolist() for tensor in self.shared],
        }


def plain(state):
    """Tensors as numbers; bytes of text as text."""
    return {
        key: bytes(tensor.tolist()).decode()
        if tensor.dtype == torch.uint8
        else {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": tensor.shape, "values": tensor.tolist()}
        for key, tensor in state.items()
    }


def tensors(state):
    """The inverse of `plain`."""
    return {
        key: torch.tensor(list(found.encode()), dtype=torch.uint8)
        if isinstance(found, str)
        else torch.tensor(found["values"], dtype=getattr(torch, found["dtype"])).reshape(found["shape"])
        for key, found in state.items()
    }


def write(folder):
    """What the present version leaves behind."""
    folder.mkdir(parents=True)
    found = {}
    for name, make in BALANCERS.items():
        run = Steps(make())
        for _ in range(BEFORE):
            run.step()
        state, shared = plain(run.balancer.state_dict()), [tensor.tolist() for tensor in run.shared]
        after = [run.step() for _ in range(AFTER)]
        found[name] = {"state": state, "shared": shared, "after": after, "end": plain(run.balancer.state_dict())}
    (folder / "states.json").write_text(
        "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found.items()) + "\n}\n"
    )
    run = Steps(eq.Balancer(eq.Smoothed(eq.MGDA()), tasks=NAMES))
    recorder = eq.record(run.balancer, folder / "training", every=2)
    for _ in range(BEFORE):
        run.step()
    recorder.close()
    made = CliRunner().invoke(
        app, ["audit", "linnerud", "--targets", "Waist,Pulse", "--width", "1", "-q", "--out", str(folder / "audit")]
    )
    assert made.exit_code == 0, made.output
    (folder / "audit" / "report.html").unlink()


def resumed(name, kept):
    run = Steps(BALANCERS[name]())
    run.balancer.load_state_dict(tensors(kept["state"]), strict=True)
    with torch.no_grad():
        for tensor, values in zip(run.shared, kept["shared"], strict=True):
            tensor.copy_(torch.tensor(values, dtype=torch.float64))
    return run


def same(found, wanted):
    """Equal to the bit; NaN stands for "not measured yet" in some states."""
    if (found.dtype, found.shape) != (wanted.dtype, wanted.shape):
        return False
    if not wanted.is_floating_point():
        return torch.equal(found, wanted)
    return torch.equal(found.isnan(), wanted.isnan()) and torch.equal(found.nan_to_num(), wanted.nan_to_num())


@pytest.fixture(scope="module")
def kept():
    return json.loads((FIXTURES / "states.json").read_text())


@pytest.mark.parametrize("name", BALANCERS)
def test_a_state_comes_back_to_the_bit(name, kept):
    saved = tensors(kept[name]["state"])
    again = resumed(name, kept[name]).balancer.state_dict()
    for key, tensor in saved.items():
        if tensor.dtype != torch.uint8:
            assert same(again[key], tensor), key
    before, now = json.loads(kept[name]["state"]["about"]), json.loads(bytes(again["about"].tolist()))
    assert {key: now[key] for key in before} == before  # a later version may write more


@pytest.mark.parametrize("name", BALANCERS)
def test_a_training_goes_on_as_it_would_have(name, kept):
    run = resumed(name, kept[name])
    # weights made of losses alone to the bit; those of a solver may gain accuracy with a version
    rel = 0 if isinstance(run.balancer.method, eq.methods.LossMethod) else 1e-10
    for wanted in kept[name]["after"]:
        found = run.step()
        assert found.keys() == wanted.keys()
        assert (found["weights"] is None) == (wanted["weights"] is None)
        for key in wanted:
            assert flat(found[key]) == pytest.approx(flat(wanted[key]), rel=rel, abs=0), key
    assert run.balancer.steps == BEFORE + AFTER


def flat(numbers):
    """Nested lists of numbers as one list."""
    if not isinstance(numbers, list):
        return [] if numbers is None else [numbers]
    return [number for part in numbers for number in flat(part)]


@pytest.fixture
def folder(tmp_path):
    """A copy of what lies there, since rendering and going on write."""
    return Path(shutil.copytree(FIXTURES, tmp_path / "0.1.0"))


def test_a_recorded_training_opens_with_every_number(folder):
    record = read_training(folder / "training")
    written = [json.loads(line) for line in (folder / "training" / "records.jsonl").read_text().splitlines()]
    assert [line.step for line in record.lines] == [1, 2, 4, 6, 8]
    for line, wanted in zip(record.lines, written, strict=True):
        assert holds(json.loads(line.model_dump_json()), wanted)
    config = json.loads((folder / "training" / "config.json").read_text())
    assert holds(json.loads(record.config.model_dump_json()), config)


def test_a_recorded_training_goes_on_in_its_folder_and_leaves_the_old_lines_alone(folder):
    before = (folder / "training" / "records.jsonl").read_bytes()
    kept = json.loads((folder / "states.json").read_text())["Smoothed"]
    run = resumed("Smoothed", kept)
    recorder = eq.record(run.balancer, folder / "training", every=2)
    for _ in range(AFTER):
        run.step()
    recorder.close()
    after = (folder / "training" / "records.jsonl").read_bytes()
    assert after.startswith(before)
    record = read_training(folder / "training")
    assert [line.step for line in record.lines] == [1, 2, 4, 6, 8, 10, 12]
    assert record.lines[-1].raw_losses == pytest.approx(kept["after"][-1]["losses"], rel=1e-10)
    assert record.replaced == 0


def test_an_audit_opens_with_every_number(folder):
    (record,) = read_records(folder / "audit")
    assert holds(record.model_dump(mode="json"), json.loads((folder / "audit" / "record.json").read_text()))


@pytest.mark.parametrize("run", ["training", "audit"])
def test_rendering_gives_the_same_page_each_time(folder, run):
    before = {path.name: path.read_bytes() for path in (folder / run).iterdir()}
    pages = []
    for _ in range(2):
        made = CliRunner().invoke(app, ["report", str(folder / run)])
        assert made.exit_code == 0, made.output
        pages.append((folder / run / "report.html").read_bytes())
    assert pages[0] == pages[1]
    names = {"training": NAMES, "audit": ("Waist", "Pulse")}[run]
    assert all(f"{name}" in pages[0].decode() for name in names)
    assert {path.name: path.read_bytes() for path in (folder / run).iterdir() if path.name in before} == before


def holds(found, wanted):
    """Whether everything in `wanted` stands in `found` with the same value; a later version may write more."""
    if isinstance(wanted, dict):
        return all(key in found and holds(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return found == wanted and type(found) is type(wanted)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
