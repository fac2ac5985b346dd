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


@pytest.fixture(scope="module", params=list(SPECS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def trained(pool, kind):
    """Results of both ranks, and of one process."""
    return pool.run(2, train_all, SPECS[kind]), train_all(None, SPECS[kind])


def off(found, wanted) -> float:
    return 0.0 if wanted is None else float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("name", list(METHODS))
def test_two_ranks_are_one_process(trained, kind, name):
    ranks, alone = trained
    if name not in alone:
        pytest.skip("its gradients are left to the reducer")
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


def test_loss_methods_send_two_small_sums_and_no_gradient(trained, kind):
    ranks, _ = trained
    for name, method in METHODS.items():
        if isinstance(method, LossMethod) and name in ranks[0]:
            assert ranks[0][name]["sent"] == 4 + 6 * 3  # 2 (R-1)/R times the length, R = 2


def test_the_reference_is_what_the_arrays_say(trained, kind):
    """The oracle is no run of the same code: MGDA's weights from the Gramian of the merged gradients."""
    ranks, _ = trained
    found = ranks[0]["mgda"]
    weights = eq.weights(eq.MGDA(), found["gramian"].numpy())
    torch.testing.assert_close(found["weights"], torch.as_tensor(weights), rtol=1e-9, atol=1e-9)
