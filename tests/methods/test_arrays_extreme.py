"""Arrays whose squares leave float64, and answers that would: right in another unit, or refused by name."""

import contextlib

import numpy as np
import pytest
import torch

import equipoise as eq
from equipoise.errors import GramianError, NonFiniteError
from equipoise.methods.units import common_unit
from equipoise.solve import Solution, Status
from equipoise.solve.promise import Attempt, first_kept, known_by_products, length_at_most

ROWS = np.array([[1.0, 2.0, -0.5], [-1.0, 0.5, 2.0], [0.3, -1.0, 1.0]])
LOSSES = [1.0, 2.0, 0.5]
WITH_A_UNIT = ("FERERO", "GradNorm", "IMTL", "MetaBalance", "MoDo", "NTKWeights", "PCD")
WITH_A_DEGREE = [
    *(getattr(eq, name)() for name in eq.methods.gramian.__all__ if name not in WITH_A_UNIT),
    eq.NTKWeights(beta=0.0),
    eq.PCD(beta=0.0),
    eq.MGDA(normalize="loss"),
    eq.FairGrad(alpha=2.0),
    eq.Smoothed(eq.CAGrad()),
    eq.GradDrop(),
]


def in_unit(values, power):
    return np.asarray(values) * 2.0 ** (power / 2) * 2.0 ** (power / 2)


@pytest.mark.parametrize("power", [-700, -560, 520, 900])
@pytest.mark.parametrize("method", WITH_A_DEGREE, ids=repr)
def test_another_unit_changes_the_direction_by_its_degree_and_nothing_else(method, power):
    wanted = eq.direction(method, ROWS, LOSSES).numpy()
    found = eq.direction(method, in_unit(ROWS, power), in_unit(LOSSES, power)).numpy()
    np.testing.assert_allclose(in_unit(found, -power * method.degree()), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        *(eq.MoDo(), eq.MoCo(), eq.GradNorm(), eq.DBMTL(), eq.ExcessMTL(), eq.NashMTL(every=2)),
        *(eq.MetaBalance(), eq.NTKWeights(), eq.PCD(), eq.FERERO()),
    ],
    ids=repr,
)
def test_a_method_that_depends_on_the_unit_refuses_gradients_whose_squares_overflow(method):
    with pytest.raises(NonFiniteError, match=r"[Dd]ivid"):
        eq.direction(method, in_unit(ROWS, 520), LOSSES)


@pytest.mark.parametrize("name", sorted(eq.methods.table))
def test_no_method_lets_out_what_is_not_finite(name):
    for power in (-1000, -560, 520, 1000):
        found = None
        with contextlib.suppress(NonFiniteError, GramianError):  # a refusal by name
            found = eq.direction(eq.methods.table[name](), in_unit(ROWS, power), LOSSES)
        assert found is None or torch.isfinite(found).all()
        assert found is not None or power > 0


def test_one_gradient_whose_square_vanishes_counts_as_zero_beside_ordinary_ones():
    rows = np.array([[1.0, 0.0], [0.0, 1e-170]])
    assert eq.direction(eq.MGDA(), rows).tolist() == [1.0, 0.0]


def test_ordinary_gradients_keep_their_unit():
    rows = torch.from_numpy(ROWS)
    assert common_unit(eq.MGDA(), rows, (rows @ rows.T).diagonal()) == 0
    nothing = torch.zeros(2, 3, dtype=torch.float64)
    assert common_unit(eq.MGDA(), nothing, torch.zeros(2)) == 0


def test_a_gramian_near_the_largest_number_stays_finite():
    weights = eq.weights(eq.MGDA(), np.diag([1.5e308, 0.5e308]))
    np.testing.assert_allclose(weights, [0.25, 0.75], rtol=1e-12)


def attempt(miss, value=1.0):
    return Attempt(Solution(np.array([value]), Status.SOLVED, 0.0), miss)


def test_the_first_attempt_that_keeps_the_promise_is_taken_and_later_ones_are_not_made():
    def attempts():
        yield attempt(1e-3, 1.0)
        yield attempt(1e-9, 2.0)
        raise AssertionError("not needed")

    assert first_kept(attempts(), np.zeros(1)).value.tolist() == [2.0]


def test_where_none_keeps_it_the_status_says_so_and_the_value_is_the_safe_one():
    found = first_kept([attempt(1e-3), attempt(np.inf)], np.array([0.5]))
    assert found.status is Status.PROMISE_BROKEN
    assert not found.status.ok
    assert found.value.tolist() == [0.5]
    assert found.certificate == 1e-3


def test_large_coefficients_are_known_less_well_and_less_is_allowed_where_a_factor_is_at_hand():
    pulls = np.array([5e3, 5e3])
    assert known_by_products(pulls)
    assert not known_by_products(pulls, factor=np.eye(2))
    assert not known_by_products(10 * pulls)


def test_a_length_that_products_do_not_know_is_never_too_short():
    rows = np.array([[1.0, 0.0], [-1.0, 1e-9]])
    weights = np.array([1e9, 1e9])  # together (0, 1), which the products of these gradients cannot tell from 0
    assert length_at_most(rows @ rows.T, weights) >= 1.0
    assert length_at_most(rows @ rows.T, weights, np.linalg.qr(rows.T)[1]) == pytest.approx(1.0, rel=1e-6)
