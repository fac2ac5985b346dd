"""Every method on two ranks of 5 and 9 rows, against one process with the 14 rows."""

import pytest
import torch

import equipoise as eq
from equipoise.methods.base import LossMethod
from tests.engine.comparing import every_method

from .cases import Spec, train_all
from .pool import agree

METHODS = every_method()
SPECS = {
    "float32": {n: Spec(m, torch.float32, 20, features=m.needs == "features") for n, m in METHODS.items()},
    "float64": {n: Spec(m, torch.float64, 1, features=m.needs == "features") for n, m in METHODS.items()},
    "without DDP": {  # the passes are ours, so nothing else needs to average
        n: Spec(m, torch.float64, 2, wrap="") for n, m in METHODS.items() if m.needs in ("gramian", "jacobian")
    },
}
LOOSE = {"pbi": 3e-6}  # its weights are differences of numbers ten times their size, of float32 losses


CASES = [(kind, name) for kind, specs in SPECS.items() for name in specs]


@pytest.fixture(scope="module")
def trained(pool):
    """Results of both ranks, and of one process."""
    return {kind: (pool.run(2, train_all, specs), train_all(None, specs)) for kind, specs in SPECS.items()}


def off(found, wanted) -> float:
    return 0.0 if wanted is None else float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{name}, {kind}" for kind, name in CASES])
def test_two_ranks_are_one_process(trained, kind, name):
    ranks, alone = trained[kind]
    found, wanted = ranks[0][name], alone[name]
    agree([rank[name] for rank in ranks])
    assert found["counts"] == wanted["counts"]
    condition = 1.0 if wanted["gramian"] is None else float(torch.linalg.cond(wanted["gramian"]))
    limit = LOOSE.get(name, 1e-6) if kind == "float32" else 1e-12 * condition
    for what in ("losses", "gramian", "weights", "gradient"):
        assert off(found[what], wanted[what]) <= limit, what
    for mine, theirs in zip(found["trained"], wanted["trained"], strict=True):
        assert off(mine, theirs) <= limit
    assert off(found["parameters"], wanted["parameters"]) <= (1e-4 if kind == "float32" else limit)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_loss_methods_send_two_small_sums_and_no_gradient(trained, kind):
    ranks, _ = trained[kind]
    sent = {ranks[0][name]["sent"] for name, method in METHODS.items() if isinstance(method, LossMethod)}
    assert sent == {4 + 6 * 3}  # 2 (R-1)/R times the length, R = 2


@pytest.mark.parametrize("kind", list(SPECS))
def test_the_weights_are_those_of_the_merged_gramian(trained, kind):
    """The oracle is no run of the same code: MGDA on arrays, with the Gramian that the ranks had."""
    ranks, _ = trained[kind]
    weights = eq.weights(eq.MGDA(), ranks[0]["mgda"]["gramian"].numpy())
    torch.testing.assert_close(ranks[0]["mgda"]["weights"], torch.as_tensor(weights), rtol=1e-9, atol=1e-9)
