"""Implied weights in closed form are the derivative of the scalar, for every loss method and its settings."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.methods.base import LossMethod
from tests.methods.histories import NAMES, play, random_history, step_of

K = 4
WEIGHTS = (0.5, 1.5, 0.0, 2.0)
SETTINGS: list[LossMethod] = [
    eq.AugmentedLagrangian(),
    eq.AugmentedLagrangian({"b": 0.5, "d": -2.0}, penalty=3.0, rate=0.5),
    eq.AugmentedLagrangian({"a": 0.0}),
    eq.Averaged(eq.SmoothTchebycheff()),
    eq.COSMOS(),
    eq.COSMOS(WEIGHTS, c=3.0),
    eq.CoVWeighting(),
    eq.DWA(),
    eq.FAMO(),
    eq.FAMO(min_losses=(-1.0, 0.0, -2.0, 0.01)),
    eq.GeometricLoss(),
    eq.HypervolumeLoss(),
    eq.HypervolumeLoss(reference=(99.0, 100.0, 101.0, 150.0)),
    eq.IMTLL(),
    eq.LinearScalarization(),
    eq.LinearScalarization(WEIGHTS),
    eq.OMDTchebycheff(WEIGHTS),
    eq.OMDTchebycheff(dual="gradient"),
    eq.PBI(),
    eq.PBI(WEIGHTS, theta=0.3, ideal="running"),
    eq.PNorm(),
    eq.PNorm(WEIGHTS, p=1.0),
    eq.PNorm(WEIGHTS, p=7.5),
    eq.ReLoBRaLo(),
    eq.RLW(),
    eq.ScaleInvariant(),
    eq.SLAW(),
    eq.SmoothTchebycheff(),
    eq.SmoothTchebycheff(WEIGHTS, mu=0.01, relative=False),
    eq.SmoothTchebycheff(ideal="running", utopia=0.1),
    eq.SmoothTchebycheff(form="log", warmup=1),
    eq.SmoothTchebycheff(WEIGHTS, form="log", mu=0.3, warmup=0),
    eq.SoftAdapt(),
    eq.SoftAdapt(normalized=True, loss_weighted=True),
    eq.Tchebycheff(),
    eq.Tchebycheff(WEIGHTS, ideal=None, augmented=0.1),
    eq.UncertaintyWeighting(),
    eq.UncertaintyWeighting(
        dict(zip(NAMES, ("regression", "classification", "likelihood", "regression"), strict=False))
    ),
    eq.UWSO(),
]


def compare(method: LossMethod, losses: list[float], state, present: tuple[int, ...] = ()) -> None:
    step = step_of(len(losses), present)
    numbers = torch.tensor(losses, dtype=torch.float64)
    given_, wanted = (
        method.implied_weights(numbers, state, step),
        LossMethod.implied_weights(method, numbers, state, step),
    )
    assert given_.value.tolist() == pytest.approx(
        wanted.value.tolist(), rel=1e-9, abs=1e-12 * float(wanted.value.abs().max())
    )
    assert not given_.value.requires_grad
    assert given_.trained.keys() == wanted.trained.keys()
    for name, slope in wanted.trained.items():
        assert given_.trained[name].tolist() == pytest.approx(slope.tolist(), rel=1e-5, abs=1e-6)
    assert given_.state.keys() == wanted.state.keys()
    for name, tensor in wanted.state.items():
        assert torch.equal(given_.state[name].nan_to_num(), tensor.nan_to_num()), name


def test_every_loss_method_of_the_table_is_compared():
    kinds = {type(method) for method in SETTINGS}
    weights_alone = {eq.ExcessMTL, eq.GO4Align}  # defined by their weights: there is no scalar to differentiate
    assert {kind for kind in eq.methods.table.values() if issubclass(kind, LossMethod)} <= kinds | weights_alone


@pytest.mark.parametrize("method", SETTINGS, ids=repr)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 5))
@settings(deadline=None, max_examples=8)
def test_they_are_the_derivative_after_any_history(method, seed, steps):
    history = random_history(steps + 1, K, seed)
    ends = tuple(range(1, steps, 2)) if method.per_epoch else ()
    state = play(method, history[:-1], epoch_ends=ends)[-1].state if steps else method.init(K)
    compare(method, history[-1], state)


@pytest.mark.parametrize("method", SETTINGS, ids=repr)
def test_they_are_the_derivative_where_losses_tie_or_the_task_is_alone(method):
    compare(method, [1.5] * K, method.init(K))
    if (
        not getattr(method, "weights", None)
        and not getattr(method, "reference", None)
        and not getattr(method, "min_losses", None)
        and not getattr(method, "bounds", None)
    ):
        alone = method if not isinstance(method, eq.UncertaintyWeighting) else eq.UncertaintyWeighting()
        compare(alone, [0.7], alone.init(1))


@pytest.mark.parametrize(
    "method",
    [
        eq.COSMOS(),
        eq.PNorm(p=1.0),
        eq.PNorm(p=3.0),
        eq.PBI(ideal=None),
        eq.Tchebycheff(ideal=None),
        eq.SmoothTchebycheff(),
    ],
    ids=repr,
)
def test_they_are_the_derivative_where_every_loss_is_zero(method):
    compare(method, [0.0] * K, method.init(K))
    compare(method, [0.0, 2.0, 0.0, 1.0], method.init(K))


def test_a_wrong_closed_form_is_noticed():
    class Wrong(eq.GeometricLoss):
        def implied_weights(self, losses, state, step):
            answer = super().implied_weights(losses, state, step)
            return answer._replace(value=answer.value * 1.000001)

    with pytest.raises(AssertionError):
        compare(Wrong(), [1.0, 2.0, 3.0, 4.0], {})
