"""`eq.weights` and `eq.direction`: methods on plain arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.core.tasks import Tasks, freeze_per_task
from equipoise.errors import GramianError, LossError, NonFiniteError, PreferenceError, SettingError, TaskError
from equipoise.methods.base import Step
from equipoise.methods.run import run_gramian_method
from equipoise.methods.state import restore, restrict


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, lambda rows: torch.tensor(rows, dtype=torch.float32), list])
def test_arrays_of_every_kind_give_the_same_answer(kind):
    rows = [[2.0, 0.0], [0.0, 1.0]]
    assert torch.allclose(eq.direction(eq.MGDA(), kind(rows)), torch.tensor([0.4, 0.8], dtype=torch.float64))
    assert torch.allclose(eq.weights(eq.MGDA(), kind([[4.0, 0.0], [0.0, 1.0]])), torch.tensor([0.2, 0.8]).double())


def test_products_of_a_float32_jacobian_are_accumulated_in_float64():
    rows = torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0)) + 0.3
    exact = eq.weights(eq.MGDA(), (rows.double() @ rows.double().T))
    found = eq.direction(eq.MGDA(), rows)
    assert (found - exact @ rows.double()).norm() <= 1e-12 * found.norm()


def test_per_task_settings_go_by_name_whatever_the_order():
    method = eq.LinearScalarization({"b": 3.0, "a": 1.0})
    assert eq.direction(method, np.eye(2), tasks=("a", "b")).tolist() == [1.0, 3.0]
    assert repr(method) == "LinearScalarization(weights=(('a', 1.0), ('b', 3.0)))"
    assert eval(repr(method), {"LinearScalarization": eq.LinearScalarization}) == method


def test_names_that_do_not_fit_are_all_listed():
    method = eq.LinearScalarization({"a": 1.0, "c": 2.0})
    with pytest.raises(TaskError, match="missing: 'b'; unknown: 'c'"):
        eq.direction(method, np.eye(2), tasks=("a", "b"))
    with pytest.raises(TaskError, match=r"one number for each of the 2 tasks.*got 3"):
        eq.direction(eq.LinearScalarization((1.0, 1.0, 1.0)), np.eye(2))


@pytest.mark.parametrize("bad", [{"a": "x"}, 3.0, "ab", (), (1.0, float("nan"))])
def test_what_is_not_one_number_a_task_is_refused(bad):
    with pytest.raises(SettingError, match="`weights` must"):
        freeze_per_task(bad, "weights")


def test_bad_arrays_are_refused():
    with pytest.raises(GramianError, match=r"\(k, n\) matrix"):
        eq.direction(eq.MGDA(), [1.0, 2.0])
    with pytest.raises(NonFiniteError, match=r"rows \[1\]"):
        eq.direction(eq.MGDA(), [[1.0, 2.0], [np.nan, 0.0]])
    with pytest.raises(LossError, match="each of the 2 rows"):
        eq.direction(eq.MGDA(), np.eye(2), losses=[1.0])
    with pytest.raises(NonFiniteError, match="`losses` must be finite"):
        eq.direction(eq.MGDA(), np.eye(2), losses=[1.0, np.inf])
    with pytest.raises(PreferenceError, match="cannot honour"):
        eq.direction(eq.MGDA(), np.eye(2), preference=eq.Bounds({"task0": 1.0}))


def test_weights_of_a_jacobian_method_say_what_to_use():
    with pytest.raises(TaskError, match=r"use eq.direction"):
        eq.weights(eq.GradDrop(), np.eye(2))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 8), st.data())
def test_restrict_and_restore_are_inverse_on_present_tasks_and_leave_the_others(k, data):
    present = sorted(data.draw(st.sets(st.integers(0, k - 1), min_size=1)))
    method = eq.GradVac()
    state = method.init(k)
    state = {n: torch.randn_like(t) if t.is_floating_point() else t for n, t in state.items()}
    small = restrict(method, state, present)
    moved = {n: t + 1 if t.is_floating_point() else t for n, t in small.items()}
    after = restore(method, state, moved, present)
    for name, tensor in state.items():
        if tensor.is_floating_point():
            changed = torch.zeros_like(tensor, dtype=torch.bool)
            changed[np.ix_(*[present] * tensor.dim())] = True
            assert torch.equal(after[name][changed], tensor[changed] + 1)
            assert torch.equal(after[name][~changed], tensor[~changed])


def test_means_divide_by_all_present_tasks_where_one_gradient_is_zero():
    rows = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    assert torch.allclose(eq.direction(eq.PCGrad(), rows), rows.mean(dim=0))


def test_all_gradients_zero_is_stationary_with_equal_weights():
    step = Step(Tasks(("a", "b")))
    outcome = run_gramian_method(eq.MGDA(), torch.zeros(2, 2, dtype=torch.float64), {}, step)
    assert outcome.status is eq.solve.Status.STATIONARY
    assert outcome.left_out == (0, 1)
