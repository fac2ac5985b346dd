"""Copies and pickles of a Balancer know the copies of the parameters."""

import copy
import io
import pickle

import pytest
import torch

import equipoise as eq
from equipoise.errors import StateError
from tests.engine.comparing import losses_of, trained
from tests.engine.problems import TwoPart, batch


def through_pickle(thing):
    buffer = io.BytesIO()
    pickle.dump(thing, buffer)
    return pickle.loads(buffer.getvalue())


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("method", [eq.GradVac(), eq.MoCo(), eq.OMDTchebycheff()])
def test_a_copy_of_model_and_balancer_goes_on_as_the_original_does(method, order, named, copied):
    model = TwoPart()
    balancer = eq.Balancer(method, model=model if named else None)
    trained(model, balancer, range(3))
    pair = copied([model, balancer][::order])[::order]
    assert pair[1].ownership.reached == balancer.ownership.reached
    again = trained(*pair, range(3, 6))
    for name, value in trained(model, balancer, range(3, 6)).items():
        assert torch.equal(value, again[name]), name


def test_a_balancer_copied_by_itself_balances_the_same_model():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA(), model=model, gradients=eq.LastLayer(model.trunk[2]))
    balancer(losses_of(model, x, y))
    twin = copy.deepcopy(balancer)
    twin(losses_of(model, x, y)).backward()
    assert twin.ownership.name(model.trunk[0].weight) == "trunk.0.weight"
    torch.testing.assert_close(twin.last.gramian, balancer.last.gramian)


class Whole(TwoPart):
    def __init__(self):
        super().__init__()
        self.balancer = eq.Balancer(eq.MGDA(), model=self)


def test_a_balancer_inside_the_model_that_it_names_is_copied_with_it():
    model, (x, y) = Whole(), batch()
    model.balancer(losses_of(model, x, y))
    assert not [name for name, _ in model.named_parameters() if name.startswith("balancer")]
    for twin in (copy.deepcopy(model), through_pickle(model)):
        twin.balancer(losses_of(twin, x, y)).backward()
        assert twin.balancer.ownership.name(twin.trunk[0].weight) == "trunk.0.weight"
        assert model.trunk[0].weight.grad is None


def test_to_moves_trained_parameters_and_leaves_the_numbers_of_the_state_in_float64():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("t0", "t1", "t2"))
    balancer.to("cpu", torch.float64)
    assert balancer.trained["log_variance"].dtype == torch.float64
    balancer(losses_of(model, x, y)).backward()
    other = eq.Balancer(eq.OMDTchebycheff()).to(torch.float16)
    other(losses_of(model, x, y)).backward()
    assert other.state["dual"].dtype == torch.float64


def test_a_state_in_the_middle_of_micro_batches_is_neither_saved_nor_copied():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    balancer.accumulate(2)
    balancer(losses_of(model, x, y))
    with pytest.raises(StateError, match="1 of 2 micro-batches are waiting"):
        balancer.state_dict()
    with pytest.raises(StateError, match="1 of 2 micro-batches are waiting"):
        copy.deepcopy(balancer)
