"""PINA's documented interface, by a stand-in: a base class, a solver that is set on the weighting, one call a batch."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

import equipoise as eq
from equipoise.errors import SettingError
from tests.integrations.small import Net, data


class Base:
    """What PINA's solvers expect of a weighting: they check the class and set `_solver`."""

    def __init__(self, update_every_n_epochs=1, aggregator="sum"):
        self._solver = None

    @property
    def solver(self):
        return self._solver


class Labelled(torch.Tensor):
    """PINA's losses are tensors of a subclass."""


@pytest.fixture(params=["pina.weighting", "pina.loss"])
def pina(request, monkeypatch):
    modules = {name: ModuleType(name) for name in ("pina", "pina.loss", "pina.weighting")}
    new = request.param == "pina.weighting"
    if new:
        modules["pina.weighting"].BaseWeighting = Base
    modules["pina.loss"].WeightingInterface = Base
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "equipoise.integrations.subclasses.pina", raising=False)
    yield
    sys.modules.pop("equipoise.integrations.subclasses.pina", None)


def test_the_aggregated_loss_is_the_balanced_one(pina):
    balancer = eq.Balancer(eq.MGDA(), scale="sum")
    weighting = eq.integrations.pina_weighting(balancer)
    assert isinstance(weighting, Base)
    solver = torch.nn.Module()
    solver.problem = SimpleNamespace(conditions={"a": None, "b": None})
    weighting._solver = solver
    assert weighting.last_saved_weights() == {}
    model, twin = Net(), Net()
    losses = {name: loss[None].as_subclass(Labelled) for name, loss in model(*data())["losses"].items()}
    loss = weighting.aggregate(losses)
    assert type(loss) is torch.Tensor
    loss.backward()
    own = eq.Balancer(eq.MGDA(), scale="sum")
    own(twin(*data())["losses"]).backward()
    assert torch.equal(model.trunk.weight.grad, twin.trunk.weight.grad)
    assert weighting.last_saved_weights() == dict(zip("ab", own.last.weights.tolist(), strict=True))
    assert weighting.update_weights(losses) == weighting.weights_update(losses) == weighting.last_saved_weights()
    weighting.aggregate({"b": model(*data())["losses"]["b"]})  # a batch without points of the other condition
    assert balancer.last.tasks == ("b",)
    solver.eval()
    weighting.aggregate(model(*data())["losses"])
    assert balancer.steps == 2


def test_a_missing_pina_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pina", None)
    with pytest.raises(SettingError, match=r"pina_weighting needs PINA, .* pip install 'pina-mathlab'"):
        eq.integrations.pina_weighting(eq.Balancer(eq.MGDA()))
