import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error
from torch import nn

from equipoise.training.tables.networks.network import LinearNetwork, TableNetwork, joined, task_loss
from equipoise.training.tables.networks.recipe import Recipe, schedule

OUTPUTS = {"y": 1, "up": 1, "kind": 3}
KINDS = {"y": "regression", "up": "binary", "kind": "classes"}
EDGES = {0: [-1.0, 0.0, 1.0], 2: [0.0, 0.5, 0.75]}


def network(seed=0, outputs=OUTPUTS, **options):
    torch.manual_seed(seed)
    made = TableNetwork(
        outputs, {task: KINDS[task] for task in outputs}, inputs=5, numbers=3, edges=EDGES, hidden=(8, 8), **options
    )
    for head in made.heads:  # they begin at zero, where everything would be equal
        nn.init.normal_(head.weight)
    return made


def rows(count=11, seed=1):
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("separate", [False, True], ids=["joint", "separate"])
def test_members_are_independent_networks_and_evaluation_joins_them(separate):
    made, x = network(members=3, separate=separate), rows()
    apart = made(x)
    whole = made.eval()(x)
    assert {task: tuple(out.shape) for task, out in apart.items()} == {
        "y": (11, 3, 1),
        "up": (11, 3, 1),
        "kind": (11, 3, 3),
    }
    assert torch.allclose(whole["y"][:, 0], apart["y"].mean(1))
    up = torch.sigmoid(apart["up"]).mean(1)
    assert torch.allclose(torch.sigmoid(whole["up"][:, 0]), up, atol=1e-6)
    kind = torch.softmax(apart["kind"], dim=2).mean(1)
    assert torch.allclose(torch.softmax(whole["kind"][:, 0], dim=1), kind, atol=1e-6)


def test_one_member_alone_computes_the_same_as_among_others():
    made, x = network(members=2), rows()
    alone = network(members=1)
    state = {}
    for name, value in made.state_dict().items():
        axis = -1 if name.startswith("piecewise.embedding.linear") else 0
        kept = name.startswith("piecewise.embedding.impl")
        state[name] = value if kept else value.chunk(2, dim=axis)[1]
    alone.load_state_dict(state)
    for task, out in alone(x).items():
        assert torch.allclose(out[:, 0], made(x)[task][:, 1], atol=1e-6)


def test_a_separate_task_moves_only_its_own_part():
    made = network(separate=True, members=2)
    loss = task_loss(made(rows())["up"], torch.ones(11), "binary").mean()
    loss.backward()
    for name, parameter in made.named_parameters():
        if name.startswith("heads."):
            assert (parameter.grad is not None and bool(parameter.grad.any())) == name.startswith("heads.1.")
            continue
        axis = -1 if name.startswith("piecewise.") else 0
        moved = [bool(part.any()) for part in parameter.grad.chunk(3, dim=axis)]
        assert moved == [False, True, False], name


def test_with_one_task_separate_and_joint_are_the_same_network():
    one = {"y": 1}
    x = rows()
    joint, separate = network(outputs=one), network(outputs=one, separate=True)
    assert torch.equal(joint(x)["y"], separate(x)["y"])


def test_merged_takes_each_tasks_part_from_its_own_state():
    first, second, third = (network(seed, separate=True, members=2) for seed in range(3))
    states = dict(zip(OUTPUTS, (first.state_dict(), second.state_dict(), third.state_dict()), strict=True))
    mixed = network(9, separate=True, members=2)
    mixed.load_state_dict(mixed.merged(states))
    x = rows()
    for source, task in zip((first, second, third), OUTPUTS, strict=True):
        assert torch.equal(mixed(x)[task], source(x)[task])


def test_losses_agree_with_scikit_learn_over_labelled_rows():
    draw = np.random.default_rng(0)
    scores = draw.normal(size=(40, 1, 3))
    target = draw.integers(0, 3, 40).astype(float)
    target[[2, 5]] = np.nan
    known = ~np.isnan(target)
    output, wanted = torch.tensor(scores), torch.tensor(target)
    shares = np.exp(scores[:, 0]) / np.exp(scores[:, 0]).sum(axis=1, keepdims=True)
    assert float(task_loss(output, wanted, "classes").mean()) == pytest.approx(log_loss(target[known], shares[known]))
    squares = task_loss(output[:, :, :1], wanted, "regression")
    assert len(squares) == 38
    assert float(squares.mean()) == pytest.approx(mean_squared_error(target[known], scores[known, 0, 0]))
    wanted = (wanted > 0).double().where(~wanted.isnan(), torch.nan)
    sure = 1 / (1 + np.exp(-scores[:, 0, 0]))
    expected = log_loss(wanted[known].numpy(), sure[known])
    assert float(task_loss(output[:, :, :1], wanted, "binary").mean()) == pytest.approx(expected)


@pytest.mark.parametrize("task", OUTPUTS)
def test_unlabelled_rows_have_no_influence_at_all(task):
    made, x = network(), rows()
    target = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    target[::3] = torch.nan
    gradients = []
    for shift in (0.0, 100.0):
        moved = x.clone()
        moved[::3] += shift
        made.zero_grad()
        task_loss(made(moved)[task], target, KINDS[task]).mean().backward()
        gradients.append([p.grad.clone() for p in made.heads[list(OUTPUTS).index(task)].parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*gradients, strict=True))
    assert task_loss(made(x)[task], torch.full((11,), torch.nan), KINDS[task]) is None


def test_the_linear_network_is_linear_with_a_shared_layer_of_its_width():
    torch.manual_seed(0)
    made = LinearNetwork({"a": 1, "b": 1, "c": 1}, dict.fromkeys("abc", "regression"), inputs=5, width=2)
    for head in made.heads:
        nn.init.normal_(head.weight)
    made.eval()
    with torch.no_grad():
        maps = torch.cat(
            [made(torch.eye(5))[task][:, 0] - made(torch.zeros(5, 5))[task][:, 0] for task in "abc"], dim=1
        )
        x = rows()
        found = torch.cat([made(x)[task][:, 0] for task in "abc"], dim=1)
        constant = torch.cat([made(torch.zeros(1, 5))[task][:, 0] for task in "abc"], dim=1)
    assert torch.linalg.matrix_rank(maps, atol=1e-5) == 2
    assert torch.allclose(found, x @ maps + constant, atol=1e-5)


def test_joining_one_member_changes_no_bit():
    output = torch.randn(1, 4, 3)
    assert all(torch.equal(joined(output, kind), output) for kind in ("regression", "binary", "classes"))


def test_the_optimizer_gives_each_parameter_its_rate_once():
    recipe = Recipe((8, 8), 2, 5, 16, 0.1, 0.01, 0.0, "mish")
    made = network(members=2)
    optimizer = recipe.optimizer(made)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(made.parameters()))
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert rates[id(made.scale.factor)] == (pytest.approx(0.6), 0.01)
    assert rates[id(made.trunk[0].weight)] == (pytest.approx(0.1), 0.01)
    assert rates[id(made.trunk[0].bias)] == (pytest.approx(0.01), 0.0)
    assert rates[id(made.heads[0].weight)] == (pytest.approx(0.1), 0.01)


def test_the_schedule_has_four_hills_between_zeros():
    zeros = [(2**power - 1) / 15 for power in range(5)]
    peaks = [(2 ** (power + 0.5) - 1) / 15 for power in range(4)]
    assert [schedule(place) for place in zeros] == pytest.approx([0] * 5, abs=1e-12)
    assert [schedule(place) for place in peaks] == pytest.approx([1] * 4)
