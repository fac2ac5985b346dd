"""The register against a stand-in package: what is right holds, what is wrong is found on its smallest input."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import LawViolation
from equipoise.laws import check_method
from equipoise.laws.register import Foreign, Package, examine, inputs, words
from equipoise.laws.register import __main__ as program
from equipoise.laws.register.adapter import TASKS, UNIFORM, WAYS
from equipoise.solve.dual_cone import project_on_dual_cone

CASES = list(inputs(quick=True))[:18]  # scales 1 and 0.001
ROWS, LOSSES = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).double(), torch.tensor([1.0, 3.0]).double()


class Projection:
    """DualProj as it should be; with a threshold, the plain mean where gradients are short."""

    def __init__(self, threshold=0.0):
        self.threshold = threshold

    def __call__(self, matrix):
        k = len(matrix)
        if matrix.norm() < self.threshold:
            return matrix.mean(dim=0)
        some = matrix[matrix.norm(dim=1) > 0]
        found = project_on_dual_cone((some @ some.T).numpy(), np.full((1, len(some)), 1 / k))
        return torch.from_numpy(found.value) @ some


class Weighted:
    """Half of each loss; equal weights by the settings."""

    def __init__(self, count, weights):
        self.weights = weights * count / 2

    def __call__(self, losses):
        return (self.weights * losses).sum()


class Operator:
    def calculate_gradient(self, matrix):
        return matrix.sum(dim=0)


def balancer(output_feature_names, strategy):
    assert strategy == "none"
    return lambda losses, weights: sum(weights[name] * losses[name] for name in output_feature_names)


class Weighting:
    def aggregate(self, losses):
        (x,) = self._solver.model.parameters()
        assert self._solver.trainer.current_epoch == 0
        norms = {name: torch.autograd.grad(loss, x, retain_graph=True)[0].norm() for name, loss in losses.items()}
        return sum(loss / norms[name] for name, loss in losses.items())


class Mixed(nn.Module):
    def init_param(self):
        self.scale = nn.Parameter(torch.ones(self.task_num))

    def backward(self, losses, power):
        for loss in losses**power:
            loss.backward(retain_graph=True)
            found = self.get_share_params()[0].grad.clone()
            self.zero_grad_share_params()
            self.total = getattr(self, "total", 0) + found
        self.get_share_params()[0].grad.copy_(self.total)


class Optimizer:
    def __init__(self, parameters):
        self.parameters = parameters

    def step(self, losses):
        for loss in losses:
            loss.backward(retain_graph=True)


class Raises:
    def __call__(self, matrix):
        raise KeyError("second task")


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    module = ModuleType("standin")
    for thing in (Projection, Weighted, Operator, balancer, Weighting, Mixed, Optimizer, Raises):
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "standin", module)


def adapter(name="Projection", way="matrix", ours=None, **settings):
    return Foreign(way, f"standin:{name}", ours or eq.DualProj(), tuple(settings.items()))


def row_of(rows, law):
    (row,) = [row for row in rows if row.law == law]
    return row


@pytest.mark.parametrize(
    ("way", "name", "settings", "wanted"),
    [
        ("matrix", "Projection", {}, [1.0, 0.5]),
        ("losses", "Weighted", {"count": TASKS, "weights": UNIFORM}, [1.0, 0.5]),
        ("conflictfree", "Operator", {}, [2.0, 1.0]),
        ("ludwig", "balancer", {"strategy": "none"}, [2.0, 1.0]),
        ("pina", "Weighting", {}, [1.0, 1.0]),
        ("libmtl", "Mixed", {"power": 2}, [4.0, 6.0]),
        ("metabalance", "Optimizer", {}, [2.0, 1.0]),
    ],
    ids=list(WAYS),
)
def test_every_way_of_calling_brings_back_what_the_package_returns(way, name, settings, wanted):
    found = eq.direction(adapter(name, way, **settings), ROWS, LOSSES)
    assert found.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_right_implementation_passes_the_whole_examination():
    assert check_method(adapter(), sizes=(2, 3)).states["no_conflict"] == {2: "claimed", 3: "claimed"}
    rows = examine(adapter(), "standin", "1", "Projection", CASES)
    assert {row.law for row in rows} == {"definition", "permutation", "unanimity", "degree", "no_conflict"}
    assert {row.verdict for row in rows} == {"holds"}


def test_a_threshold_is_found_on_the_smallest_input_that_shows_it():
    wrong = adapter(threshold=0.01)
    row = row_of(examine(wrong, "standin", "1", "Projection", CASES), "no_conflict")
    assert (row.verdict, row.smallest) == ("breaks", "0.001 * [[1, 0], [-3, 1]]")
    assert row.found == "<g_0, d> = -1e-06, cosine -0.894"  # the mean is (-1, 0.5)
    assert row.worst == pytest.approx(0.8944, abs=1e-4)
    with pytest.raises(LawViolation, match="breaks `no_conflict`"):
        check_method(wrong, sizes=(2,))


def test_what_a_package_raises_is_a_finding():
    rows = examine(adapter("Raises"), "standin", "1", "Raises", CASES[:2])
    assert {row.verdict for row in rows} == {"fails"}
    assert row_of(rows, "permutation").found == "KeyError: 'second task'"
    assert row_of(rows, "permutation").missed == 2


def test_inputs_that_a_source_does_not_define_are_left_out():
    dependent = [case for case in inputs() if case.name.startswith(("identical, k=2", "well, k=2", "zero row, k=2"))]
    some = Foreign("matrix", "standin:Projection", eq.DualProj(), independent=True)
    assert row_of(examine(some, "standin", "1", "some", dependent), "degree").inputs == 1
    assert row_of(examine(adapter(), "standin", "1", "all", dependent), "degree").inputs == 2
    assert row_of(examine(eq.DualProj(), "equipoise", "1", "ours", dependent), "degree").inputs == 3


def test_the_program_prints_ours_first_and_counts_what_is_skipped(monkeypatch, tmp_path, capsys):
    class Installed(Package):
        version = "1.0"

    packages = (
        Installed("good", "standin", {"right": adapter(), "wrong": adapter(threshold=0.01)}),
        Installed("unfit", "standin.missing", {"any": adapter()}),
        Package("no-such-distribution", "standin", {"any": adapter()}, "its plots"),
    )
    monkeypatch.setattr(program, "PACKAGES", packages)
    monkeypatch.setattr(words, "PACKAGES", packages)
    monkeypatch.setattr(program, "inputs", lambda quick: CASES)
    program.main(["--quick", "--json", str(tmp_path / "r.json"), "--markdown", str(tmp_path / "r.md")])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"equipoise {eq.__version__} DualProj(")
    assert shown[-1] == (
        "1 methods of equipoise, 0 of them with a law broken; 2 implementations of other packages, 1 of them with a "
        "law broken; 2 packages skipped"
    )
    found = json.loads((tmp_path / "r.json").read_text())
    assert [row["name"] for row in found["rows"] if row["verdict"] == "breaks"] == ["wrong"] * 2
    assert found["skipped"]["no-such-distribution"] == "not installed"
    assert "standin.missing does not import" in found["skipped"]["unfit 1.0"]
    page = (tmp_path / "r.md").read_text()
    assert "| good 1.0 | wrong | no_conflict | `0.001 * [[1, 0], [-3, 1]]` |" in page
    assert "- no-such-distribution: its plots" in page
    with pytest.raises(SystemExit):
        program.main(["--package", "other"])


def test_torchjd_is_called_as_its_documentation_says():
    peer = pytest.importorskip("torchjd.aggregation")
    (package,) = [package for package in program.PACKAGES if package.distribution == "torchjd"]
    rows = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]]).double()
    for name, theirs in (("UPGrad", peer.UPGrad()), ("MGDA", peer.MGDA()), ("IMTLG", peer.IMTLG())):
        assert torch.equal(eq.direction(package.methods[name], rows), theirs(rows)), name
    assert torch.equal(
        3 * eq.direction(package.methods["PCGrad"], rows[:2] * 1.5), 3 * peer.PCGrad()(rows[:2] * 1.5) / 2
    )
    found = examine(package.methods["CAGrad(c=0.4)"], "torchjd", "", "CAGrad", [CASES[0]])
    assert row_of(found, "permutation").verdict in {"holds", "approximate"}
