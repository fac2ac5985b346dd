"""RotoGrad against its formulas, and on two toys with and without each of its parts."""

import copy

import pytest
import torch
from torch import nn

from equipoise.errors import SettingError, TaskError
from equipoise.methods import RotoGrad

TASKS = ("a", "b", "c")


def model_of(dim=4, seed=0, turned=True, **parts):
    torch.manual_seed(seed)
    model = RotoGrad({name: nn.Linear(dim, 2) for name in TASKS}, dim, **parts).double()
    if turned and parts.get("rotate", True):
        for layer in model.layers.values():
            layer.weight = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64)).Q
    return model


def losses_of(outputs, scales=(1.0, 5.0, 0.1)):
    return [scale * (output**2).sum() for scale, output in zip(scales, outputs.values(), strict=True)]


def slow_gradients(model, features, scales=(1.0, 5.0, 0.1)):
    """Every quantity of the paper's equations, one after the other, in the order of the tasks."""
    rotations = [matrix.detach().clone() for matrix in model.rotations.values()]
    pulls, turned = [], []
    for scale, head, rotation in zip(scales, model.heads.values(), rotations, strict=True):
        rotated = (features.detach() @ rotation.T.to(features)).requires_grad_()
        (gradient,) = torch.autograd.grad(scale * (head(rotated) ** 2).sum(), rotated)
        turned.append(gradient)
        pulls.append(gradient @ rotation.to(features))
    norms = torch.stack([pull.norm() for pull in pulls])
    units = [pull / norm for pull, norm in zip(pulls, norms, strict=True)]
    mean = sum(units) / len(units)
    rotation_gradients = []
    for gradient, rotation in zip(turned, rotations, strict=True):
        leaf = rotation.clone().requires_grad_()
        objective = -sum(leaf.T @ g @ v for g, v in zip(gradient, mean, strict=True))
        rotation_gradients.append(torch.autograd.grad(objective, leaf)[0])
    return pulls, norms, sum(units), rotation_gradients


def test_at_the_start_the_heads_see_the_features_as_they_are():
    model = model_of(turned=False)
    features = torch.randn(7, 4, dtype=torch.float64)
    for name, output in model(features).items():
        torch.testing.assert_close(output, model.heads[name](features))


def test_features_heads_and_rotations_get_the_gradients_of_the_paper():
    model = model_of()
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    _, norms, total, turns = slow_gradients(model, features)
    rotations = model.rotations
    direct = {name: head(features @ rotations[name].T) for name, head in model.heads.items()}
    plain = torch.autograd.grad(sum(losses_of(direct)), [head.weight for head in model.heads.values()])
    held = list(model.rotations.values())
    sum(losses_of(model(features))).backward()
    # the first step: a_k is 1/K each, so C is the mean norm
    torch.testing.assert_close(features.grad, norms.mean() * total)
    for head, gradient in zip(model.heads.values(), plain, strict=True):
        torch.testing.assert_close(head.weight.grad, gradient)
    for matrix, wanted, layer in zip(held, turns, model.layers.values(), strict=True):
        original = layer.parametrizations.weight.original
        (through,) = torch.autograd.grad(matrix, original, grad_outputs=wanted)
        torch.testing.assert_close(original.grad, through)
    torch.testing.assert_close(model.first_norms, norms)


def test_the_common_norm_leans_to_tasks_that_have_converged_least():
    model = model_of()
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    sum(losses_of(model(features))).backward()
    first = model.first_norms.clone()
    features.grad = None
    later = (1.0, 0.5, 0.1)  # the second task's gradient has shrunk tenfold
    _, norms, total, _ = slow_gradients(model, features, later)
    sum(losses_of(model(features), later)).backward()
    shares = (norms / first) / (norms / first).sum()
    torch.testing.assert_close(features.grad, (shares * norms).sum() * total)
    torch.testing.assert_close(model.first_norms, first)


def test_scale_only_and_rotate_only_are_each_half():
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    scale_only = model_of(rotate=False)
    assert not list(scale_only.rotation_parameters())
    _, norms, total, _ = slow_gradients(scale_only, features)
    (found,) = torch.autograd.grad(sum(losses_of(scale_only(features))), features)
    torch.testing.assert_close(found, norms.mean() * total)
    rotate_only = model_of(scale=False)
    pulls, _, _, _ = slow_gradients(rotate_only, features)
    (found,) = torch.autograd.grad(sum(losses_of(rotate_only(features))), features)
    torch.testing.assert_close(found, sum(pulls))
    neither = model_of(rotate=False, scale=False)
    (found,) = torch.autograd.grad(sum(losses_of(neither(features))), features)
    heads = {name: head(features) for name, head in neither.heads.items()}
    (plain,) = torch.autograd.grad(sum(losses_of(heads)), features)
    torch.testing.assert_close(found, plain)


def test_every_task_pulls_alike_however_its_loss_is_scaled():
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    directions = []
    for scales in ((1.0, 5.0, 0.1), (1e6, 1e-6, 1.0)):
        (found,) = torch.autograd.grad(sum(losses_of(model_of()(features), scales)), features)
        directions.append(found / found.norm())
    torch.testing.assert_close(*directions)


def test_rotations_stay_rotations_under_any_optimizer():
    model = model_of(turned=False)
    optimizer = torch.optim.SGD(model.rotation_parameters(), lr=1.0)
    features = torch.randn(7, 4, dtype=torch.float64)
    for _ in range(20):
        optimizer.zero_grad()
        sum(losses_of(model(features.requires_grad_()))).backward()
        optimizer.step()
    for matrix in model.rotations.values():
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(4, dtype=torch.float64))
        assert float(torch.linalg.det(matrix).detach()) == pytest.approx(1)
        assert (matrix - torch.eye(4)).abs().max() > 0.01


def test_a_task_without_gradient_does_not_count():
    model = model_of()
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    losses = losses_of(model(features))
    pulls, norms, _, _ = slow_gradients(model, features)
    (found,) = torch.autograd.grad(losses[0] + losses[2], features)
    torch.testing.assert_close(found, norms[[0, 2]].mean() * (pulls[0] / norms[0] + pulls[2] / norms[2]))
    assert model.first_norms[1] == 0
    (nothing,) = torch.autograd.grad(0 * sum(losses_of(model(features))), features)
    assert (nothing == 0).all()


def test_leading_axes_are_samples_and_half_precision_works():
    model = model_of()
    flat = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    (wanted,) = torch.autograd.grad(sum(losses_of(model(flat))), flat)
    folded = flat.detach().reshape(2, 3, 4).requires_grad_()
    (found,) = torch.autograd.grad(sum(losses_of(model(folded))), folded)
    torch.testing.assert_close(found.reshape(6, 4), wanted)
    small = model.bfloat16()
    features = flat.detach().bfloat16().requires_grad_()
    (found,) = torch.autograd.grad(sum(losses_of(small(features))), features)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.double(), wanted, rtol=0.1, atol=0.1 * float(wanted.abs().max()))


def test_evaluation_touches_no_memory_and_the_state_reloads_strictly():
    model = model_of().eval()
    features = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    sum(losses_of(model(features))).backward()
    assert (model.first_norms == 0).all()
    model.train()
    sum(losses_of(model(features))).backward()
    twin = model_of(seed=5, turned=False)
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    for ours, theirs in zip(model(features).values(), twin(features).values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(model.first_norms, twin.first_norms)


def test_what_cannot_be_rotated_is_refused():
    with pytest.raises(TaskError, match="none"):
        RotoGrad({}, 3)
    with pytest.raises(TaskError, match=r"'a\.b'"):
        RotoGrad({"a.b": nn.Identity()}, 3)
    with pytest.raises(TaskError, match="got 'type'"):
        RotoGrad({"type": nn.Identity(), "b": nn.Identity()}, 3)
    with pytest.raises(SettingError, match="at least 1; got 0"):
        RotoGrad({"a": nn.Identity()}, 0)
    with pytest.raises(SettingError, match=r"width dim=3.*\(2, 4\)"):
        RotoGrad({"a": nn.Identity()}, 3)(torch.ones(2, 4))


def bowl(feature, minimum):
    """Convex, longer than wide: two of them, one turned against the other by the place of its minimum."""
    offset = feature - torch.tensor(minimum)
    return (offset[..., 0] ** 2 + 4 * offset[..., 1] ** 2).sum()


def waves(feature, minimum):
    """Not convex: a bowl with ripples."""
    offset = feature - torch.tensor(minimum)
    return (offset**2).sum() + 0.6 * (1 - torch.cos(3 * offset)).sum()


def train(shape, *, scale, rotate):
    """Excess losses of two tasks on one shared vector; minima (2, 0) and (0, 2), the second loss 20 times louder."""
    shared = nn.Parameter(torch.tensor([[-2.0, -1.5]]))
    model = RotoGrad({"quiet": nn.Identity(), "loud": nn.Identity()}, 2, scale=scale, rotate=rotate)
    groups = [{"params": [shared], "lr": 0.03}, {"params": list(model.rotation_parameters()), "lr": 0.02}]
    optimizer = torch.optim.Adam(groups if rotate else groups[:1])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.997)
    for _ in range(900):
        optimizer.zero_grad()
        outputs = model(shared)
        (shape(outputs["quiet"], (2.0, 0.0)) + 20 * shape(outputs["loud"], (0.0, 2.0))).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        outputs = model(shared)
        return float(shape(outputs["quiet"], (2.0, 0.0))), float(shape(outputs["loud"], (0.0, 2.0)))


@pytest.mark.parametrize("shape", [bowl, waves])
def test_rotations_make_two_minima_one_where_scaling_can_only_share_the_loss(shape):
    plain = train(shape, scale=False, rotate=False)
    scaled = train(shape, scale=True, rotate=False)
    rotated = train(shape, scale=False, rotate=True)
    whole = train(shape, scale=True, rotate=True)
    assert plain[0] > 50 * plain[1]  # the loud task has it all
    assert max(scaled) < 0.6 * max(plain)  # equal pulls: a compromise
    assert min(scaled) > 1.0
    assert max(rotated) < 1e-2  # one vector that serves both
    assert max(whole) < 1e-2


def test_rotations_rest_where_two_tasks_pull_one_vector_in_opposite_ways():
    model = RotoGrad({"a": nn.Identity(), "b": nn.Identity()}, 2)
    shared = torch.tensor([[0.0, 0.0]], requires_grad=True)
    outputs = model(shared)
    (outputs["a"][0, 0] - outputs["b"][0, 0]).backward()
    for parameter in model.rotation_parameters():
        assert (parameter.grad == 0).all()
