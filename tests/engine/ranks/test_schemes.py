"""Every way to get gradients, absent tasks, windows and wrappers, on two, three and four ranks."""

import pytest
import torch

import equipoise as eq

from .cases import Spec, train_all
from .pool import agree

ALL_OF_RANK_0 = ((0, 0), (0, 1), (0, 2))
SPECS = {
    "recompute": Spec(eq.MGDA(), steps=2, options={"mode": "recompute"}),
    "recompute, weighted heads": Spec(eq.MGDA(), steps=2, options={"mode": "recompute", "heads": "weighted"}),
    "scale sum": Spec(eq.MGDA(), steps=2, options={"scale": "sum"}),
    "by module": Spec(eq.MGDA(), steps=2, options={"granularity": "module"}),
    "by tensor, without DDP": Spec(eq.MGDA(), steps=2, wrap="", options={"granularity": "tensor"}),
    "sketch": Spec(eq.MGDA(), steps=2, options={"gradients": eq.Sketch(64)}),
    "sketch, absent": Spec(eq.MGDA(), steps=2, options={"gradients": eq.Sketch(64)}, absent=((0, 1),)),
    "features": Spec(eq.MGDA(), steps=2, features=True, options={"gradients": eq.Features()}),
    "features, absent": Spec(
        eq.MGDA(), steps=2, features=True, options={"gradients": eq.Features()}, absent=((0, 1), (1, 0))
    ),
    "features, a rank without tasks": Spec(
        eq.MGDA(), steps=2, features=True, options={"gradients": eq.Features()}, absent=ALL_OF_RANK_0
    ),
    "sketch, a rank with one task": Spec(
        eq.MGDA(), steps=2, options={"gradients": eq.Sketch(64)}, absent=ALL_OF_RANK_0[:2]
    ),
    "sketch, a rank without tasks": Spec(
        eq.MGDA(), steps=2, options={"gradients": eq.Sketch(64)}, absent=ALL_OF_RANK_0
    ),
    "complex, without DDP": Spec(eq.MGDA(), steps=2, wrap="", complex=True),
    "complex": Spec(eq.MGDA(), steps=2, complex=True),
    "exact with features": Spec(eq.CAGrad(), steps=2, features=True),
    "every third": Spec(eq.MGDA(), steps=4, options={"gradients": eq.Every(3)}),
    "every third, absent": Spec(eq.MGDA(), steps=4, options={"gradients": eq.Every(3)}, absent=((0, 1),)),
    "last layer": Spec(eq.GradNorm(), steps=2, layer=True),
    "last layer, absent": Spec(eq.GradNorm(), steps=2, layer=True, absent=((1, 2),)),
    "second batch": Spec(eq.MoDo(), steps=2, second=True),
    "no model given": Spec(eq.MGDA(), steps=2, options={"model": None}),
    "absent": Spec(eq.MGDA(), steps=2, absent=((0, 1),)),
    "absent, without DDP": Spec(eq.MGDA(), steps=2, wrap="", absent=((0, 1),)),
    "absent, Jacobian": Spec(eq.GradDrop(), steps=2, wrap="", absent=((0, 1),)),
    "absent, losses": Spec(eq.Tchebycheff(), steps=2, absent=((0, 1),)),
    "another absent on each": Spec(eq.CAGrad(), steps=2, absent=((0, 1), (1, 2))),
    "absent everywhere": Spec(eq.MGDA(), steps=2, wrap="", absent=((0, 1), (1, 1), (2, 1), (3, 1))),
    "a rank without tasks": Spec(eq.MGDA(), steps=2, absent=ALL_OF_RANK_0),
    "a rank without tasks, losses": Spec(eq.UncertaintyWeighting(), steps=2, absent=ALL_OF_RANK_0),
    "unused parameters": Spec(eq.MGDA(), steps=2, wrap="unused"),
    "unused parameters, absent": Spec(eq.MGDA(), steps=2, wrap="unused", absent=((0, 1),)),
    "unused parameters, head not run": Spec(eq.MGDA(), steps=2, wrap="unused", absent=((0, 1),), partial=True),
    "losses, head not run": Spec(eq.Tchebycheff(), steps=2, wrap="unused", absent=((0, 1),), partial=True),
    "windows": Spec(eq.MGDA(), steps=2, accumulate=2),
    "windows, without DDP": Spec(eq.MGDA(), steps=2, accumulate=2, wrap=""),
    "windows, no model given": Spec(eq.MGDA(), steps=2, accumulate=2, options={"model": None}),
    "windows, absent": Spec(eq.MGDA(), steps=2, accumulate=2, absent=((0, 1),)),
    "windows, losses": Spec(eq.UncertaintyWeighting(), steps=2, accumulate=2),
    "windows, Jacobian": Spec(eq.GradDrop(), steps=2, accumulate=2),
    "windows, sketch": Spec(eq.MGDA(), steps=2, accumulate=2, options={"gradients": eq.Sketch(64)}),
    "windows, recompute": Spec(eq.MGDA(), steps=2, accumulate=2, options={"mode": "recompute"}),
    "windows that end early": Spec(eq.MGDA(), steps=2, accumulate=2, window=4),
    "windows that end early, flushed later": Spec(eq.MGDA(), steps=2, accumulate=2, window=4, flush="after"),
    "rows given": Spec(eq.MGDA(), steps=2, rows=True),
    "sums": Spec(eq.MGDA(), steps=2, sums=True),
}
MORE = ("absent, without DDP", "another absent on each", "features", "windows", "sketch", "unused parameters, absent")
CASES = [(2, name) for name in SPECS] + [(ranks, name) for ranks in (3, 4) for name in MORE]


@pytest.fixture(scope="module")
def trained(pool):
    """Results by the number of ranks: those of the ranks, and those of one process."""
    found = {}
    for ranks in (2, 3, 4):
        specs = {name: SPECS[name].of(ranks) for count, name in CASES if count == ranks}
        found[ranks] = pool.run(ranks, train_all, specs), train_all(None, specs)
    return found


@pytest.mark.parametrize(("ranks", "name"), CASES, ids=[f"{name} on {ranks}" for ranks, name in CASES])
def test_ranks_are_one_process(trained, ranks, name):
    several, alone = trained[ranks]
    found, wanted = several[0][name], alone[name]
    agree([rank[name] for rank in several])
    assert found["counts"] == wanted["counts"]
    if not SPECS[name].wrap or SPECS[name].wrap == "unused":
        assert found["none"] == wanted["none"]  # what no rank uses has no gradient
    for what in ("losses", "gramian", "weights", "gradient", "parameters"):
        if wanted[what] is not None:
            torch.testing.assert_close(found[what], wanted[what], rtol=1e-10, atol=1e-12, msg=what)
