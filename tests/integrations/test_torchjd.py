"""torchjd's modules as methods, and ours as its modules: the numbers are those of the other side."""

import copy
import doctest
import pickle
from importlib import import_module

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import LossError, SettingError
from tests.integrations.page import run
from tests.integrations.small import Net, data

aggregation = pytest.importorskip("torchjd.aggregation", reason="the extra `bench` brings it")
scalarization = pytest.importorskip("torchjd.scalarization")
autojac = pytest.importorskip("torchjd.autojac")

AGGREGATORS = [
    aggregation.UPGrad(),
    aggregation.DualProj(pref_vector=torch.tensor([0.2, 0.8])),
    aggregation.MGDA(),
    aggregation.CAGrad(c=0.5),
    aggregation.FairGrad(alpha=2.0),
    aggregation.IMTLG(),
    aggregation.AlignedMTL(),
    aggregation.ConFIG(),
    aggregation.Mean(),
    aggregation.Constant(torch.tensor([1.0, 3.0], dtype=torch.float64)),
    aggregation.TrimmedMean(trim_number=0),
]
SCALARIZERS = [
    scalarization.Mean(),
    scalarization.GeometricMean(),
    scalarization.STCH(mu=0.3),
    scalarization.Constant(torch.tensor([1.0, 3.0])),
]


def test_the_examples_of_the_docstrings_run():
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(import_module("equipoise.integrations.torchjd"), optionflags=options)
    assert (found.failed, found.attempted) == (0, 8)


def by_kind(module):
    return type(module).__name__


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=by_kind)
def test_a_balanced_step_has_the_gradients_of_torchjd(aggregator):
    """Shared parameters, in float64; heads are left alone here."""
    ours, theirs = Net().double(), Net().double()
    x, labels = (part.double() for part in data())
    method = eq.from_torchjd(aggregator)
    eq.Balancer(method, shared=ours.trunk)(ours(x, labels)["losses"]).backward()
    losses = list(theirs(x, labels)["losses"].values())
    autojac.backward(losses, inputs=list(theirs.trunk.parameters()))
    autojac.jac_to_grad(theirs.trunk.parameters(), aggregator)
    for mine, wanted in zip(ours.trunk.parameters(), theirs.trunk.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-5, atol=1e-7)  # their solvers stop at 1e-6


@pytest.mark.parametrize("scalarizer", SCALARIZERS, ids=by_kind)
def test_a_scalarizer_gives_every_parameter_its_gradient(scalarizer):
    ours, theirs = Net(), Net()
    eq.Balancer(eq.from_torchjd(scalarizer))(ours(*data())["losses"]).backward()
    scalarizer(torch.stack(list(theirs(*data())["losses"].values()))).backward()
    for mine, wanted in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, wanted.grad, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("random", [aggregation.PCGrad(), aggregation.GradDrop(), aggregation.Random()], ids=by_kind)
def test_random_modules_draw_from_their_seed_and_step(random):
    jacobian = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    method = eq.from_torchjd(random, seed=3)
    before = torch.random.get_rng_state()
    first = eq.direction(method, jacobian)
    torch.manual_seed(5)
    assert torch.equal(eq.direction(method, jacobian), first)
    torch.random.set_rng_state(before)
    others = [eq.direction(eq.from_torchjd(random, seed=seed), jacobian) for seed in range(4, 12)]
    assert any(not torch.equal(other, first) for other in others)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_method_is_a_value_known_by_its_text():
    weights = torch.tensor([0.1, 0.9])
    module = aggregation.UPGrad(pref_vector=weights)
    method = eq.from_torchjd(module)
    assert repr(method) == (
        f"from_torchjd(UPGrad(pref_vector=tensor({weights.tolist()}), "
        "projector=QuadprogProjector(norm_eps=0.0001, reg_eps=0.0001)))"
    )
    assert method == eq.from_torchjd(aggregation.UPGrad(pref_vector=weights.clone()))
    nearly = eq.from_torchjd(aggregation.UPGrad(pref_vector=weights + torch.tensor([1e-7, 0.0])))
    assert method != nearly  # what they print rounds to four digits
    assert len({method, nearly, copy.deepcopy(method), pickle.loads(pickle.dumps(method))}) == 2
    module.pref_vector = torch.tensor([0.9, 0.1])
    assert torch.allclose(eq.weights(method, torch.eye(2)), weights.double())
    assert eq.Run(Net, method).key != eq.Run(Net, nearly).key


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (aggregation.GradVac(), "GradVac of torchjd remembers earlier steps"),
        (scalarization.UW(shape=2), "UW of torchjd remembers"),
        (aggregation.UPGradWeighting(), r"is a weighting; say what it weighs"),
        (aggregation.UPGrad, "takes an instance of a torchjd Aggregator"),
        (aggregation.GradDrop(f=lambda p: p), "cannot be written as the call that made it"),
    ],
    ids=["stateful", "trained", "weighting", "class", "lambda"],
)
def test_what_cannot_be_a_method_is_refused(module, said):
    with pytest.raises(SettingError, match=said):
        eq.from_torchjd(module)


def gradients(model, aggregator):
    losses = list(model(*data())["losses"].values())
    autojac.backward(losses, inputs=list(model.trunk.parameters()))
    autojac.jac_to_grad(model.trunk.parameters(), aggregator)
    return [parameter.grad for parameter in model.trunk.parameters()]


@pytest.mark.parametrize("method", [eq.MGDA(), eq.UPGrad(), eq.PCGrad(seed=1), eq.MoCo()], ids=by_kind)
def test_our_methods_serve_torchjds_backward(method):
    module = eq.integrations.to_torchjd(method)
    weighted = isinstance(module, aggregation.Weighting)
    found = gradients(Net(), aggregation.GramianWeightedAggregator(module) if weighted else module)
    model = Net()
    eq.Balancer(method, shared=model.trunk)(model(*data())["losses"]).backward()
    for mine, wanted in zip(found, [parameter.grad for parameter in model.trunk.parameters()], strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-5, atol=1e-7)


def test_our_loss_methods_are_scalarizers():
    model, twin = Net(), Net()
    eq.Balancer(eq.Tchebycheff((0.5, 0.5)))(model(*data())["losses"]).backward()
    module = eq.integrations.to_torchjd(eq.Tchebycheff((0.5, 0.5)))
    module(torch.stack(list(twin(*data())["losses"].values()))).backward()
    torch.testing.assert_close(twin.trunk.weight.grad, model.trunk.weight.grad)


def test_memory_is_saved_and_forgotten():
    gramians = [torch.tensor([[1.0, -0.5 * s], [-0.5 * s, s]]) for s in (1.0, 0.5, 2.0)]
    whole = eq.integrations.to_torchjd(eq.Smoothed(eq.MGDA()))
    wanted = [whole(gramian) for gramian in gramians]
    first, second = (eq.integrations.to_torchjd(eq.Smoothed(eq.MGDA())) for _ in range(2))
    for gramian in gramians[:2]:
        first(gramian)
    holder = nn.ModuleList([second])
    holder.load_state_dict(nn.ModuleList([first]).state_dict())
    assert torch.equal(second(gramians[2]), wanted[2])
    assert not torch.equal(eq.integrations.to_torchjd(eq.Smoothed(eq.MGDA()))(gramians[2]), wanted[2])
    with pytest.raises(SettingError, match="first called with 2 tasks, and now with 3: call reset"):
        second(torch.eye(3))
    second.reset()
    assert second(torch.eye(3)).tolist() == pytest.approx([1 / 3] * 3)
    with pytest.raises(LossError, match="give `losses`"):
        eq.integrations.to_torchjd(eq.EPO())(torch.eye(2))
    with pytest.raises(SettingError, match="trains parameters, which torchjd's modules cannot express"):
        eq.integrations.to_torchjd(eq.UncertaintyWeighting())


def test_the_script_of_the_page_runs(tmp_path, monkeypatch, capsys):
    names = run("with_torchjd", tmp_path, monkeypatch)
    assert capsys.readouterr().out.count("tensor(") == 2
    assert names["model"].trunk[0].weight.grad.abs().max() > 0
