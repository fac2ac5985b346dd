"""Tasks with data of their own: pooled means, shorter loaders, absent tasks, missing labels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import equipoise as eq
from equipoise.balancing.masking import masked_mean
from equipoise.balancing.task_sampling import size_weights, task_batches
from equipoise.errors import DataError, SettingError


def model_and_loss():
    torch.manual_seed(0)
    model = nn.Linear(3, 1).double()
    return model, lambda x, y: (model(x).squeeze(1) - y).square()


def data(n, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, generator=generator).double(), torch.randn(n, generator=generator).double()


def gradient(model, scalar):
    model.zero_grad()
    scalar.backward()
    return torch.cat([parameter.grad.ravel() for parameter in model.parameters()])


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4))
@settings(deadline=None, max_examples=25)
def test_size_weights_give_the_gradient_of_the_pooled_mean(sizes):
    model, per_sample = model_and_loss()
    tables = {f"task{i}": data(n, seed=i) for i, n in enumerate(sizes)}
    weights = size_weights({name: len(y) for name, (_, y) in tables.items()})
    balancer = eq.Balancer(eq.LinearScalarization(weights))
    found = gradient(model, balancer({name: per_sample(x, y).mean() for name, (x, y) in tables.items()}))
    pooled = torch.cat([per_sample(x, y) for x, y in tables.values()]).mean()
    assert torch.allclose(found, gradient(model, pooled), rtol=1e-12, atol=1e-14)


def test_an_epoch_of_cycled_loaders_has_the_pooled_mean_as_its_mean_gradient():
    model, per_sample = model_and_loss()
    tables = {"large": data(24, seed=1), "small": data(8, seed=2)}
    loaders = {name: DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True) for name, (x, y) in tables.items()}
    balancer = eq.Balancer(eq.LinearScalarization(size_weights({"large": 24, "small": 8})))
    gradients = [
        gradient(model, balancer({name: per_sample(x, y).mean() for name, (x, y) in batches.items()}))
        for batches in task_batches(loaders)
    ]
    assert len(gradients) == 6  # the small set is seen three times
    pooled = torch.cat([per_sample(x, y) for x, y in tables.values()]).mean()
    assert torch.allclose(torch.stack(gradients).mean(dim=0), gradient(model, pooled), rtol=1e-12, atol=1e-14)


def test_cycled_loaders_shuffle_anew():
    torch.manual_seed(3)
    loader = DataLoader(list(range(8)), batch_size=4, shuffle=True)
    seen = [batch["short"].tolist() for batch in task_batches({"long": range(4), "short": loader})]
    assert sorted(seen[0] + seen[1]) == sorted(seen[2] + seen[3]) == list(range(8))
    assert seen[:2] != seen[2:]


@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.sampled_from(["cycle", "absent"]))
@settings(deadline=None, max_examples=60)
def test_an_epoch_is_as_long_as_the_longest_loader(lengths, short):
    loaders = {f"task{i}": list(range(length)) for i, length in enumerate(lengths)}
    epoch = list(task_batches(loaders, short=short))
    assert len(epoch) == max(lengths)
    for name, loader in loaders.items():
        wanted = [
            loader[step % len(loader)] if short == "cycle" or step < len(loader) else None for step in range(len(epoch))
        ]
        assert [batches[name] for batches in epoch] == wanted


def test_a_task_whose_loader_has_ended_is_left_out_and_its_state_kept():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    balancer = eq.Balancer(eq.OMDTchebycheff(step_size=0.5), tasks=("long", "short"))
    duals = []
    for batches in task_batches({"long": [1.0, 2.0, 3.0], "short": [4.0]}, short="absent"):
        losses = {name: None if batch is None else (weight * batch).square().sum() for name, batch in batches.items()}
        balancer(losses).backward()
        duals.append(balancer.state["dual"].clone())
        assert balancer.last.tasks == tuple(name for name, loss in losses.items() if loss is not None)
    assert duals[0][1] != pytest.approx(-torch.tensor(2.0).log().item())  # it moved while it was there
    assert torch.equal(duals[0][1], duals[1][1])
    assert torch.equal(duals[1][1], duals[2][1])


def test_a_batch_without_a_single_label_makes_its_task_absent():
    _, per_sample = model_and_loss()
    x, y = data(6, seed=4)
    labelled = {"all": torch.ones(6, dtype=torch.bool), "none": torch.zeros(6, dtype=torch.bool)}
    balancer = eq.Balancer(eq.LinearScalarization(), tasks=("all", "none"))
    balancer({name: masked_mean(per_sample(x, y), mask) for name, mask in labelled.items()}).backward()
    assert balancer.last.tasks == ("all",)
    assert torch.allclose(balancer.last.weights, torch.ones(1, dtype=torch.float64))


def test_missing_labels_have_no_influence_whatever_stands_in_for_them():
    model, per_sample = model_and_loss()
    x, y = data(6, seed=5)
    mask = torch.tensor([True, False, True, True, False, False])
    found = [gradient(model, masked_mean(per_sample(x, torch.where(mask, y, filler)), mask)) for filler in (0.0, 1e6)]
    assert torch.equal(*found)
    assert torch.allclose(found[0], gradient(model, per_sample(x[mask], y[mask]).mean()), rtol=1e-12)


@pytest.mark.parametrize("sizes", [{}, {"a": 0}, {"a": 3, "b": -1}])
def test_sizes_without_samples_are_refused(sizes):
    with pytest.raises(SettingError, match="at least one sample"):
        size_weights(sizes)


def test_loaders_that_cannot_serve_are_refused_by_name():
    with pytest.raises(SettingError, match="at least one loader"):
        task_batches({})
    with pytest.raises(SettingError, match="'b' can be walked only once"):
        task_batches({"a": [1], "b": iter([1])})
    with pytest.raises(SettingError, match="'cycle' or 'absent'"):
        task_batches({"a": [1]}, short="stop")
    with pytest.raises(DataError, match="'b' has no batch"):
        list(task_batches({"a": [1], "b": []}))
