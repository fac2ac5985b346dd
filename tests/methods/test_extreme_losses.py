"""Losses from 1e-300 to 1e300 in one history: weights are finite numbers, or an error says which are not."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import LossError, NonFiniteError
from equipoise.methods.base import LossMethod
from equipoise.methods.run import run_loss_method
from tests.methods.histories import NAMES, play, step_of, weigh

K = 3
WEIGHTS = (0.5, 0.0, 2.0)
METHODS: list[LossMethod] = [
    *(kind() for kind in eq.methods.table.values() if issubclass(kind, LossMethod)),
    eq.COSMOS(WEIGHTS),
    eq.DWA(T=0.01),
    eq.FAMO(floor=0.0, lr=0.5),
    eq.LinearScalarization(WEIGHTS),
    eq.OMDTchebycheff(WEIGHTS, step_size=100.0),
    eq.OMDTchebycheff(dual="gradient"),
    eq.PBI(WEIGHTS, ideal="running"),
    eq.PNorm(WEIGHTS, p=30.0),
    eq.ReLoBRaLo(alpha=0.5, rho=0.5, T=0.1),
    eq.SLAW(floor=0.0),
    eq.SmoothTchebycheff(WEIGHTS, mu=1e-3, relative=False),
    eq.SmoothTchebycheff(WEIGHTS, form="log", warmup=0, mu=0.01),
    eq.SoftAdapt(beta=100.0),
    eq.SoftAdapt(normalized=True, loss_weighted=True),
    eq.Tchebycheff(WEIGHTS, augmented=0.1),
    eq.UWSO(T=1e-6),
]
# states in which NaN or inf says that nothing was measured yet
UNSEEN = {"last", "initial", "before", "nadir", "ideal", "lowest", "highest"}

sizes = st.one_of(st.floats(-300, 300), st.floats(-30, 30), st.floats(-1, 1)).map(lambda power: 10.0**power)
rows = st.tuples(
    st.lists(st.one_of(sizes, sizes, sizes, st.just(0.0)), min_size=K, max_size=K),
    st.sets(st.integers(0, K - 1), min_size=1).map(lambda chosen: tuple(sorted(chosen))),
    st.booleans(),
)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@given(history=st.lists(rows, min_size=1, max_size=6), dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(deadline=None, max_examples=30)
def test_a_balancer_hands_out_finite_weights_or_an_error_that_changes_nothing(method, history, dtype):
    balancer = eq.Balancer(method, tasks=NAMES[:K], steps_per_epoch="manual" if method.per_epoch else None)
    leaf = torch.ones((), dtype=dtype, requires_grad=True)
    for losses, present, ends in history:
        largest = 1e38 if dtype == torch.float32 else 1e300
        shown = [(leaf * 0.0 + min(losses[i], largest)) if i in present else None for i in range(K)]
        before = {name: tensor.clone() for name, tensor in balancer.state.items()}
        words, scalar = "", None
        try:
            scalar = balancer(shown)
        except (LossError, NonFiniteError) as error:
            words = str(error)
        if scalar is None:
            assert any(f"'{NAMES[i]}'" in words for i in present)
            for name, tensor in before.items():
                assert torch.equal(tensor.nan_to_num(), balancer.state[name].nan_to_num())
            continue
        scalar.backward()
        assert leaf.grad.isfinite()
        weights = balancer.last.weights
        assert weights.isfinite().all()
        if "simplex" in method.claims(len(weights)):
            assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
        for name, tensor in balancer.state.items():
            assert name in UNSEEN or tensor.isfinite().all(), name
        if method.per_epoch and ends:
            balancer.end_epoch()


def test_weights_of_measured_and_unmeasured_tasks_sum_to_one_in_double_precision():
    for method in (eq.SLAW(), eq.CoVWeighting()):
        state = play(method, [[3.0, 2.0, 1.0]] * 2 + [[1.0, 4.0, 1.5]], presents=[(0, 1)] * 3)[-1].state
        assert float(weigh(method, [2.0, 3.0, 1.0], state).weights.sum()) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("scale", [1e-290, 1e-30, 1.0, 1e30, 1e290])
@pytest.mark.parametrize(
    "method",
    [eq.PBI(theta=2.0), eq.SLAW(floor=0.0), eq.CoVWeighting(), eq.FAMO(floor=0.0), eq.OMDTchebycheff()],
    ids=repr,
)
def test_a_common_unit_does_not_matter_however_small_or_large(method, scale):
    history = [[3.0, 2.0, 1.0], [1.0, 2.5, 1.5], [2.0, 0.5, 1.0]]
    if isinstance(method, eq.OMDTchebycheff):
        method = eq.OMDTchebycheff(step_size=0.1 / scale)
    wanted = play(eq.OMDTchebycheff() if isinstance(method, eq.OMDTchebycheff) else method, history)
    found = play(method, [[scale * loss for loss in row] for row in history])
    for seen, plain in zip(found, wanted, strict=True):
        assert seen.weights.tolist() == pytest.approx(plain.weights.tolist(), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-20, 1.0, 1e20])
def test_the_cosine_of_cosmos_is_of_degree_minus_one(scale):
    step, losses = step_of(3), torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    plain = eq.COSMOS(c=1.0).implied_weights(losses, {}, step).value - 1 / 3
    found = eq.COSMOS(c=scale).implied_weights(scale * losses, {}, step).value - 1 / 3
    assert found.tolist() == pytest.approx(plain.tolist(), rel=1e-9)
    equal = eq.COSMOS().implied_weights(torch.full((3,), scale, dtype=torch.float64), {}, step).value
    assert equal.tolist() == pytest.approx([1 / 3] * 3)  # nothing but rounding is left of the slope


def test_two_tasks_far_behind_do_not_get_a_weight_each():
    method = eq.OMDTchebycheff(step_size=1e3)
    history = [[1.0, 1e30, 1.0], [1.0, 2.0, 1.0]]
    seen = play(method, history, presents=[(0, 1, 2), (0, 2)])[-1]
    assert seen.weights.tolist() == [0.5, 0.5]


def test_a_step_of_only_zero_weights_has_no_gradient_in_any_form():
    for method in (
        eq.SmoothTchebycheff(WEIGHTS, form="log", warmup=0),
        eq.SmoothTchebycheff(WEIGHTS),
        eq.Tchebycheff(WEIGHTS),
    ):
        state = method.init(K)
        for _ in range(2):
            found = run_loss_method(method, torch.tensor([2.0]), state, step_of(K, (1,)))
            assert found.weights.tolist() == [0.0]
            answer = method.scalar(
                torch.tensor([2.0], dtype=torch.float64), {**state, **_first(state)}, step_of(K, (1,))
            )
            assert math.isfinite(answer.value)
            state = method.end_epoch(found.state) if method.per_epoch else found.state


def _first(state):
    """The state as task number 1 alone sees it."""
    return {name: tensor[1:2] if tensor.dim() else tensor for name, tensor in state.items()}
