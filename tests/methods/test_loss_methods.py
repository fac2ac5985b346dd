"""What every loss method owes: true weights, untouched absent tasks, no hidden memory, refusals by name."""

import itertools
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import equipoise as eq
from equipoise.errors import EquipoiseWarning, LossError, TaskError
from equipoise.laws import check_method
from equipoise.methods import loss as folder
from equipoise.methods.run import run_loss_method

from .histories import play, random_history, slopes, step_of, weigh

KINDS = [kind for kind in (getattr(folder, name) for name in folder.__all__) if issubclass(kind, eq.methods.LossMethod)]


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Equal to the bit, NaN included."""
    return torch.equal(first.isnan(), second.isnan()) and torch.equal(first.nan_to_num(), second.nan_to_num())


# methods whose weights are the gradient of what they return, as a function of the losses alone
DIFFERENTIABLE = [
    eq.LinearScalarization(),
    eq.LinearScalarization((0.2, 0.0, 3.0, 1.0)),
    eq.ScaleInvariant(),
    eq.RLW("dirichlet"),
    eq.UncertaintyWeighting(),
    eq.UncertaintyWeighting({"a": "regression", "b": "classification", "c": "likelihood", "d": "regression"}),
    eq.DWA(),
    eq.GeometricLoss(),
    eq.IMTLL(),
    eq.Tchebycheff(ideal=None),
    eq.Tchebycheff((1.0, 2.0, 0.0, 1.0), ideal=(0.01, 0.02, 0.03, 0.0), augmented=0.1),
    eq.SmoothTchebycheff(ideal=None, mu=0.3, final_mu=0.3, relative=False),
    eq.SmoothTchebycheff((1.0, 2.0, 0.0, 1.0), form="log", warmup=0, mu=0.2),
    eq.OMDTchebycheff(),
    eq.OMDTchebycheff((1.0, 2.0, 0.0, 1.0), dual="gradient"),
    eq.PBI(),
    eq.PBI((1.0, 2.0, 0.5, 1.0), theta=0.5, ideal=(0.01, 0.0, 0.0, -1.0)),
    eq.COSMOS(),
    eq.COSMOS((1.0, 2.0, 0.5, 1.0), c=1.0),
    eq.PNorm(),
    eq.PNorm((1.0, 2.0, 0.5, 1.0), p=1.3),
    eq.PNorm(p=7.0),
    eq.HypervolumeLoss(reference=(50.0, 60.0, 70.0, 80.0)),
    eq.Averaged(eq.OMDTchebycheff(), rule="mean"),
]

VARIANTS = [
    eq.UWSO(T=5.0),
    eq.FAMO(floor=0.0),
    eq.FAMO(floor=0.0, lr=0.5, gamma=0.0),
    eq.SLAW(beta=0.5, floor=0.0),
    eq.SoftAdapt(normalized=True),
    eq.SoftAdapt(loss_weighted=True),
    eq.SoftAdapt(beta=-1.0, normalized=True, loss_weighted=True),
    eq.ReLoBRaLo(alpha=0.5, rho=0.5),
    eq.ReLoBRaLo(alpha=0.0, rho=0.0, T=0.1),
    eq.PNorm(p=1.0),
    eq.PNorm(p=30.0),
    eq.PBI(theta=0.0),
    eq.PBI(ideal="running"),
    eq.COSMOS(c=0.0),
    eq.HypervolumeLoss(slack=5.0),
    eq.RLW("uniform", "sum", seed=4),
    *(eq.RLW(name) for name in ("truncated normal", "random normal", "dirichlet", "one-hot", "subset")),
    eq.SmoothTchebycheff(form="log", warmup=0),
    eq.UncertaintyWeighting("classification"),
    eq.Averaged(eq.DWA(), rule="sample"),
]


@pytest.mark.parametrize("method", VARIANTS, ids=repr)
def test_settings_other_than_the_defaults_obey_what_they_claim(method):
    assert check_method(method, sizes=(1, 3)).checks > 0


@pytest.mark.parametrize("method", DIFFERENTIABLE, ids=repr)
@settings(deadline=None, max_examples=10)
@given(losses=st.lists(st.floats(0.05, 20.0), min_size=4, max_size=4), seed=st.integers(0, 100))
def test_implied_weights_are_the_slopes_of_the_criterion(method, losses, seed):
    if isinstance(method, eq.Tchebycheff):  # a maximum has no slope where two terms meet
        losses = [loss + 0.013 * i**2 for i, loss in enumerate(losses)]
        terms = sorted([losses[0], 2 * losses[1], losses[3]] if method.weights else losses)
        if min(b - a for a, b in itertools.pairwise(terms)) < 1e-2:
            return
    history = random_history(3, 4, seed)
    ends = (0, 1, 2) if method.per_epoch else ()
    state = play(method, history, epoch_ends=ends)[-1].state
    for name in {tensor.name for tensor in method.state_tensors if tensor.trained}:
        state = {**state, name: torch.tensor([0.3, -0.2, 0.1, 0.5])}
    weighed = weigh(method, losses, state)
    wanted = slopes(method, losses, state)
    scale = max(abs(slope) for slope in wanted)
    assert weighed.weights.tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-5 * scale)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_absent_task_keeps_its_state_and_shows_nothing(kind):
    method, history = kind(), random_history(6, 4)
    ends = (0, 1, 2, 3) if method.per_epoch else ()
    state = play(method, history[:4], epoch_ends=ends)[-1].state
    seen = weigh(method, history[4], state, present=(0, 2))
    hidden = [history[4][0], float("nan"), history[4][2], float("inf")]
    assert torch.equal(weigh(method, hidden, state, present=(0, 2)).weights, seen.weights)
    assert len(seen.weights) == 2
    assert torch.isfinite(seen.weights).all()
    for declared in method.state_tensors:
        before, after = state[declared.name], seen.state[declared.name]
        assert after.shape == before.shape
        assert after.dtype == before.dtype
        if declared.task_axes:
            assert same(after[[1, 3]], before[[1, 3]]), declared.name
        if declared.trained:
            assert torch.equal(after, before)
            assert (seen.trained[declared.name][[1, 3]] == 0).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_step_changes_nothing_but_what_it_returns_and_repeats_to_the_bit(kind):
    method, history = kind(), random_history(5, 3)
    state = play(method, history[:3], epoch_ends=(0, 1, 2) if method.per_epoch else ())[-1].state
    before = {name: tensor.clone() for name, tensor in state.items()}
    first, second = weigh(method, history[3], state), weigh(kind(), history[3], state)
    assert torch.equal(first.weights, second.weights)
    for name, tensor in before.items():
        assert same(tensor, state[name]), name
        assert same(first.state[name], second.state[name]), name
        assert not first.state[name].requires_grad


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_single_precision_losses_are_computed_on_in_double(kind):
    method = kind()
    losses = torch.tensor([0.5, 2.0, 1.5], dtype=torch.float32)
    weighed = run_loss_method(method, losses, method.init(3), step_of(3))
    assert weighed.weights.dtype == torch.float64
    assert torch.equal(weighed.weights, weigh(method, [0.5, 2.0, 1.5]).weights)


NEEDS_POSITIVE = [
    eq.ScaleInvariant(),
    eq.GeometricLoss(),
    eq.UWSO(),
    eq.FAMO(floor=0.0),
    eq.SmoothTchebycheff(form="log"),
]
NEEDS_NON_NEGATIVE = [
    eq.UncertaintyWeighting(),
    eq.IMTLL(),
    eq.CoVWeighting(),
    eq.ReLoBRaLo(),
    eq.PNorm(),
    eq.SoftAdapt(loss_weighted=True),
]
ANY_SIGN = [
    eq.LinearScalarization(),
    eq.RLW(),
    eq.Tchebycheff(),
    eq.SmoothTchebycheff(),
    eq.OMDTchebycheff(),
    eq.SLAW(),
    eq.SoftAdapt(),
    eq.PBI(),
    eq.COSMOS(),
    eq.UncertaintyWeighting("likelihood"),
]


@pytest.mark.parametrize("method", NEEDS_POSITIVE, ids=repr)
def test_losses_without_a_logarithm_are_refused_by_task_name_with_a_way_out(method):
    with pytest.raises(LossError, match=r"those of 'b', 'd' are \[0\.0, -1\.0\]\. Use ") as caught:
        weigh(method, [1.0, 0.0, 2.0, -1.0])
    assert type(method).__name__ in str(caught.value)


@pytest.mark.parametrize("method", NEEDS_NON_NEGATIVE, ids=repr)
def test_negative_losses_are_refused_where_ratios_or_powers_are_taken_and_zero_is_not(method):
    with pytest.raises(LossError, match=r"those of 'd' are \[-1\.0\]\. Use ") as caught:
        weigh(method, [1.0, 0.0, 2.0, -1.0])
    assert type(method).__name__ in str(caught.value)
    for weighed in play(method, [[1.0, 0.0, 2.0], [0.5, 0.0, 2.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]):
        assert torch.isfinite(weighed.weights).all()


@pytest.mark.parametrize("method", ANY_SIGN, ids=repr)
def test_losses_of_any_sign_have_finite_weights_elsewhere(method):
    for weighed in play(method, [[1.0, 0.0, -2.0], [0.5, 0.0, -2.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]):
        assert torch.isfinite(weighed.weights).all()


@pytest.mark.parametrize(
    "kind",
    [eq.LinearScalarization, eq.Tchebycheff, eq.SmoothTchebycheff, eq.OMDTchebycheff, eq.PNorm, eq.PBI, eq.COSMOS],
)
def test_weights_must_name_every_task_and_be_a_non_negative_preference(kind):
    with pytest.raises(TaskError, match=r"missing: 'b'; unknown: 'z'\. The tasks are 'a', 'b', 'c'"):
        weigh(kind({"a": 1.0, "c": 1.0, "z": 2.0}), [1.0, 2.0, 3.0])
    with pytest.raises(TaskError, match=r"one number for each of the 3 tasks"):
        weigh(kind((1.0, 2.0)), [1.0, 2.0, 3.0])
    for bad in ((1.0, -1.0), (0.0, 0.0)):
        with pytest.raises(eq.errors.SettingError, match="must be non-negative and not all zero"):
            kind(bad)
    with pytest.raises(eq.errors.SettingError, match="one finite number a task"):
        kind((1.0, float("nan")))
    named, ordered = kind({"c": 3.0, "a": 1.0, "b": 2.0}), kind((1.0, 2.0, 3.0))
    losses = [1.0, 2.0, 3.5]
    assert torch.equal(weigh(named, losses).weights, weigh(ordered, losses).weights)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: eq.Tchebycheff(utopia=-1.0), "`utopia` and `augmented` must be at least 0"),
        (lambda: eq.Tchebycheff(ideal="best"), "`ideal` must be 'running', None"),
        (lambda: eq.SmoothTchebycheff(mu=0.0), "`mu`, `final_mu` must be positive"),
        (lambda: eq.SmoothTchebycheff(form="logs"), "`form` must be"),
        (lambda: eq.OMDTchebycheff(step_size=0.0), "`step_size` must be positive"),
        (lambda: eq.OMDTchebycheff(dual="mirror"), "`dual` must be"),
        (lambda: eq.DWA(T=0.0), "`T` is a temperature"),
        (lambda: eq.UWSO(T=-1.0), "`T` is a temperature"),
        (lambda: eq.UncertaintyWeighting("regresion"), "`kinds` must be one of"),
        (lambda: eq.UncertaintyWeighting(3), "`kinds` must be one word"),
        (lambda: eq.RLW("cauchy"), "`distribution` must be one of"),
        (lambda: eq.RLW("normal", "sum"), "must not be negative; 'normal' has both signs"),
        (lambda: eq.RLW("uniform", "max"), "`normalize` must be"),
        (lambda: eq.RLW(seed=-1), "`seed` must be a whole number"),
        (lambda: eq.ReLoBRaLo(seed=1.5), "`seed` must be a whole number"),
        (lambda: eq.ReLoBRaLo(alpha=1.5), "`alpha` and `rho` must lie between 0 and 1"),
        (lambda: eq.FAMO(lr=0.0), "`lr` must be positive"),
        (lambda: eq.SLAW(beta=1.0), "`beta` must lie strictly between 0 and 1"),
        (lambda: eq.SoftAdapt(beta=float("inf")), "`beta` must be finite"),
        (lambda: eq.PNorm(p=0.5), "`p` must be finite and at least 1"),
        (lambda: eq.PBI(theta=-1.0), "`theta` must be finite and at least 0"),
        (lambda: eq.COSMOS(c=-1.0), "`c` must be finite and at least 0"),
        (lambda: eq.HypervolumeLoss(slack=1.0), "`slack` must be larger than 1"),
        (lambda: eq.ExcessMTL(step_size=0.0), "`step_size` must be positive"),
        (lambda: eq.Averaged(eq.MGDA()), "takes a loss method"),
        (lambda: eq.Averaged(rule="best", cap=0), r"rule='best' \(one of .*cap=0 \(a whole number, at least 1\)"),
    ],
)
def test_settings_outside_their_range_are_refused_with_the_value(make, words):
    with pytest.raises(eq.errors.SettingError, match=words):
        make()


def test_tiny_weights_are_not_taken_for_zero():
    assert weigh(eq.LinearScalarization((1e-60, 0.0)), [1.0, 1.0]).weights.tolist() == [1e-60, 0.0]


def test_the_log_form_says_that_mu_of_one_is_a_weighted_sum():
    with pytest.warns(EquipoiseWarning, match="from mu = 1, a weighted sum with the weights w/nadir"):
        eq.SmoothTchebycheff(form="log", mu=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eq.SmoothTchebycheff(form="log")
