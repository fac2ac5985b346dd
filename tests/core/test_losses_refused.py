"""What users may hand over wrongly: the words say what was found and what to type, and nothing changes."""

import copy

import pytest
import torch

import equipoise as eq
from equipoise.errors import ClockError, EquipoiseError, LossError, NonFiniteError, SettingError, StateError, TaskError

NAMES = ("a", "b", "c")


def losses(values=(1.0, 2.0, 3.0), dtype=torch.float32):
    leaf = torch.ones((), dtype=dtype, requires_grad=True)
    return {name: leaf * value for name, value in zip(NAMES, values, strict=True)}


def unchanged(balancer):
    """What a refused call must leave alone."""
    state = {key: tensor.numpy().tobytes() for key, tensor in copy.deepcopy(balancer.state_dict()).items()}
    return state, balancer.steps, dict(balancer.counts), balancer.tasks, balancer.last, balancer.plan


def refused(balancer, call, error, words):
    before = unchanged(balancer)
    with pytest.raises(error, match=words):
        call()
    assert unchanged(balancer) == before


def test_a_weight_too_large_for_the_type_of_the_loss_is_an_error_by_task_name():
    balancer = eq.Balancer(eq.ScaleInvariant(), tasks=NAMES)
    small = losses((1e-6, 1.0, 1.0), torch.float16)
    refused(balancer, lambda: balancer(small), NonFiniteError, r"'a' \(loss 1.*e-06\): weight inf in torch.float16")
    refused(balancer, lambda: balancer(losses((1e-40, 1.0, 1e-42))), NonFiniteError, r"'a' \(.*; 'c' \(.*dividing each")
    mixed = losses() | {"b": losses((1.0, 1e-6, 1.0), torch.float16)["b"]}
    refused(balancer, lambda: balancer(mixed), NonFiniteError, r"found 'b' \(loss 1.*weight inf in torch.float16\. Not")
    with balancer.accumulate(2):
        balancer(losses((1e-40, 1.0, 1.0)))
        with pytest.raises(NonFiniteError, match=r"'a' \(loss 9\.99995e-41\): weight inf"):
            balancer(losses((1e-40, 1.0, 1.0)))
    balancer(losses()).backward()
    assert balancer.steps == 1


def test_such_a_weight_is_propagated_to_a_scaler_where_that_was_asked_for():
    balancer = eq.Balancer(eq.ScaleInvariant(), nonfinite="propagate")
    leaf = torch.ones((), requires_grad=True)
    balancer({"a": leaf * 1e-40, "b": leaf}).backward()
    assert leaf.grad.isnan()
    assert balancer.counts == {"propagated": 1}
    assert balancer.last is None


@pytest.mark.parametrize(("method", "name"), [(eq.UncertaintyWeighting(), "log_variance"), (eq.IMTLL(), "log_scale")])
def test_trained_parameters_that_ran_away_are_named(method, name):
    balancer = eq.Balancer(method, tasks=NAMES)
    balancer.trained[name].data[1] = float("nan")
    refused(
        balancer, lambda: balancer(losses()), NonFiniteError, f"'b'.* nan.*Its trained {name} holds NaN or inf: lower"
    )
    balancer.trained[name].data[1] = -80.0 if name == "log_variance" else 80.0
    big = losses((1.0, 1e30, 1.0))
    refused(
        balancer, lambda: balancer(big), NonFiniteError, f"'b': gradient -?inf of its {name}.*Bring the losses near 1"
    )


def test_half_precision_weights_whose_sum_overflows_are_fine():
    leaf = torch.ones((), dtype=torch.float16, requires_grad=True)
    balancer = eq.Balancer(eq.LinearScalarization((4e4, 5e4)))
    balancer([leaf * 1.0, leaf * -0.5]).backward()
    assert leaf.grad.item() == pytest.approx(15e3, rel=1e-3)


def test_second_derivatives_are_refused_but_where_the_weights_count_as_constants():
    def gradient(method):
        leaf = torch.tensor(2.0, requires_grad=True)
        scalar = eq.Balancer(method)([leaf**3, 5 * leaf**2])
        (slope,) = torch.autograd.grad(scalar, leaf, create_graph=True)
        return torch.autograd.grad(slope, leaf)[0]

    assert gradient(eq.LinearScalarization()).item() == (6 * 2 + 10) / 2
    assert gradient(eq.OMDTchebycheff()).item() == (6 * 2 + 10) / 2
    with pytest.raises(EquipoiseError, match=r"create_graph=True.*Take them of the losses.*or use LinearScalarization"):
        gradient(eq.GeometricLoss())


@pytest.mark.parametrize("method", [eq.OMDTchebycheff(), eq.LinearScalarization(), eq.UncertaintyWeighting()])
def test_a_second_backward_raises_and_does_not_double(method):
    leaf = torch.ones((), requires_grad=True)
    scalar = eq.Balancer(method, tasks=("a", "b"))([leaf * 1.0, leaf * 2.0])
    scalar.backward()
    once = leaf.grad.clone()
    with pytest.raises(RuntimeError, match="second time"):
        scalar.backward()
    assert torch.equal(leaf.grad, once)


def test_a_sequence_first_and_names_later_is_told_apart_from_a_wrong_name():
    balancer = eq.Balancer(eq.LinearScalarization())
    balancer(list(losses().values()))
    words = r"unknown: 'a', 'b', 'c'\. The first call gave a sequence: .*tasks=\('a', 'b', 'c'\)"
    refused(balancer, lambda: balancer(losses()), TaskError, words)
    named = eq.Balancer(eq.LinearScalarization(), tasks=NAMES)
    swapped = {"z": losses()["a"], "b": losses()["b"], "c": losses()["c"]}
    refused(named, lambda: named(swapped), TaskError, r"missing: 'a'; unknown: 'z'\. A task without labels")
    named(list(losses().values()))
    assert named.last.losses == {"a": 1.0, "b": 2.0, "c": 3.0}


def test_names_are_strings_and_one_string_is_not_a_sequence_of_names():
    with pytest.raises(TaskError, match=r"got the one string 'depth': write \('depth',\)"):
        eq.Balancer(eq.MGDA(), tasks="depth")
    with pytest.raises(TaskError, match="must be strings, which are saved and shown; got 0, 1"):
        eq.Balancer(eq.MGDA(), tasks=(0, 1))
    balancer = eq.Balancer(eq.LinearScalarization())
    refused(balancer, lambda: balancer(dict(enumerate(losses().values()))), TaskError, "got 0, 1, 2")


def test_an_epoch_that_cannot_end_changes_nothing_whether_counted_or_told():
    told = eq.Balancer(eq.DWA(), tasks=NAMES, steps_per_epoch="manual")
    told(losses((-1.0, 1.0, 1.0)))
    refused(told, told.end_epoch, LossError, r"an epoch's mean loss must not be negative.*\[0\].*\[-1.0\]")
    counted = eq.Balancer(eq.DWA(), tasks=NAMES, steps_per_epoch=2)
    counted(losses((-1.0, 1.0, 1.0)))
    refused(counted, lambda: counted(losses((-2.0, 1.0, 1.0))), LossError, r"are \[-1.5\]")
    counted(losses((5.0, 1.0, 1.0)))  # its place can be taken by another step
    assert counted.state["last"].tolist() == [2.0, 1.0, 1.0]
    fresh = eq.Balancer(eq.DWA(), steps_per_epoch=1)
    refused(fresh, lambda: fresh(losses((-1.0, 1.0, 1.0))), LossError, "must not be negative")


def test_observing_needs_a_first_step_all_tasks_and_losses_in_the_domain():
    with pytest.raises(ClockError, match="before the first step"):
        eq.Balancer(eq.FAMO()).observe(losses())
    balancer = eq.Balancer(eq.FAMO(), tasks=NAMES)
    balancer(losses())
    refused(balancer, lambda: balancer.observe(losses() | {"b": None}), SettingError, "those of 'b' are None")
    bad = losses((-1.0, 1.0, float("nan")))
    refused(balancer, lambda: balancer.observe(bad), LossError, r"numbers \[0, 2\] are \[-1.0, nan\]")


def test_a_state_that_does_not_fit_is_refused_whole():
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=NAMES)
    balancer(losses())
    saved = balancer.state_dict()
    fresh = eq.Balancer(eq.UncertaintyWeighting(), tasks=NAMES)
    without = {key: tensor for key, tensor in saved.items() if key != "trained.log_variance"}
    refused(fresh, lambda: fresh.load_state_dict(without), StateError, "'trained.log_variance' is missing")
    short = saved | {"trained.log_variance": torch.zeros(2)}
    refused(fresh, lambda: fresh.load_state_dict(short), StateError, r"has shape \(2,\) where \(3,\) is needed")
    garbage = saved | {"about": torch.tensor([1, 2], dtype=torch.uint8)}
    refused(fresh, lambda: fresh.load_state_dict(garbage), StateError, "must hold JSON as bytes.*without a cast")
    cast = {key: tensor.float() for key, tensor in saved.items()}
    refused(fresh, lambda: fresh.load_state_dict(cast), StateError, "it is torch.float32")
    older = saved | {"about": torch.tensor(list(b'{"method": "x"}'), dtype=torch.uint8)}
    refused(fresh, lambda: fresh.load_state_dict(older), StateError, "missing: 'carried', 'counts'")
    averaging = eq.Balancer(eq.DWA(), tasks=NAMES, steps_per_epoch="manual")
    states = averaging.state_dict()
    half = states | {key: tensor.half() for key, tensor in states.items() if key != "about"}
    refused(
        averaging, lambda: averaging.load_state_dict(half), StateError, "'state_last' is torch.float16 where torch.fl"
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: eq.Tchebycheff(utopia=float("nan")),
            "`utopia` and `augmented` must be at least 0 and finite; got utopia=nan",
        ),
        (lambda: eq.Tchebycheff(augmented=float("inf")), "augmented=inf"),
        (lambda: eq.SmoothTchebycheff(mu=-1), "`mu`, `final_mu` must be positive.*got mu=-1"),
        (lambda: eq.SmoothTchebycheff(mu=float("inf")), "got mu=inf"),
        (lambda: eq.SmoothTchebycheff(form="log", warmup=1.5), "whole number.*warmup=1.5"),
        (lambda: eq.SmoothTchebycheff(anneal=0), "anneal=0"),
        (lambda: eq.OMDTchebycheff(step_size=float("inf")), "positive and finite; got inf"),
        (lambda: eq.DWA(T="2"), "positive and finite; got '2'"),
        (lambda: eq.UWSO(T=float("inf")), "positive and finite; got inf"),
        (lambda: eq.FAMO(floor=float("inf")), "all finite; got .*floor=inf"),
        (lambda: eq.SLAW(floor=float("nan")), "floor=nan"),
        (lambda: eq.ReLoBRaLo(T=float("inf")), "T=inf"),
        (lambda: eq.HypervolumeLoss(slack=float("inf")), "larger than 1 and finite; got inf"),
        (lambda: eq.UncertaintyWeighting({}), r"`kinds` must be one of .*; got \(\)"),
    ],
)
def test_settings_that_are_no_number_in_range_are_refused_with_the_value(make, words):
    with pytest.raises(SettingError, match=words):
        make()
