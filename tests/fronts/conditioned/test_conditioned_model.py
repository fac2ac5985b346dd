"""Laws of a conditioned model: what it equals at the start, at corners, for equal terms, and as a plain copy."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import equipoise as eq
from equipoise.errors import PreferenceError, SettingError, StateError, TaskError
from equipoise.fronts import Conditioned

FORMS = ["adapters", "film", "input"]
TASKS = ["a", "b", "c"]


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def images() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 3, groups=2),
        nn.Flatten(),
        nn.Linear(6 * 64, 3),
    )


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(7, 5, padding_idx=0)
        self.head = nn.Linear(5, 2, bias=False)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.head(self.table(numbers).sum(1))


MODELS = {
    "dense": (small, torch.linspace(-1, 1, 20).reshape(5, 4)),
    "images": (images, torch.linspace(-1, 1, 3 * 36).reshape(3, 1, 6, 6)),
    "words": (Words, torch.tensor([[0, 1, 2], [3, 4, 5], [6, 6, 0]])),
}


def stirred(model: Conditioned) -> Conditioned:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dense", "images"])
def test_at_the_start_every_preference_gives_the_plain_model(name, form):
    make, inputs = MODELS[name]
    plain, model = make().eval(), Conditioned(make(), TASKS, rank=2, form=form).eval()
    for preference in ([1, 0, 0], [0.2, 0.3, 0.5]):
        with model.prefer(preference):
            torch.testing.assert_close(model(inputs), plain(inputs), rtol=0, atol=0)


def test_equal_terms_make_the_preference_irrelevant():
    model = stirred(Conditioned(small(), TASKS, rank=2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".down", ".up", ".offsets")):
                parameter.copy_(parameter[:1].expand_as(parameter))
    inputs = MODELS["dense"][1]
    found = []
    for preference in ([1, 0, 0], [0, 0.5, 0.5], [0.2, 0.3, 0.5]):
        with model.prefer(preference):
            found.append(model(inputs))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_a_corner_is_the_terms_of_its_task_alone_and_the_rest_lies_between():
    model = stirred(Conditioned(small(), TASKS, rank=2).double())
    held = model.model[0].parametrizations
    weight, low, bias = held.weight.original, held.weight[0], held.bias.original + held.bias[0].offsets
    corners = []
    for task in range(3):
        model.prefer(torch.eye(3)[task])
        corners.append((model.model[0].weight, model.model[0].bias))
        torch.testing.assert_close(corners[-1][0], weight + low.up[task] @ low.down[task])
        torch.testing.assert_close(corners[-1][1], bias[task])
    model.prefer({"c": 0.5, "a": 0.2, "b": 0.3})
    for place, found in enumerate((model.model[0].weight, model.model[0].bias)):
        mean = sum(share * corner[place] for share, corner in zip((0.2, 0.3, 0.5), corners, strict=True))
        torch.testing.assert_close(found, mean)


def test_film_scales_and_shifts_outputs():
    model = stirred(Conditioned(nn.Sequential(nn.Conv1d(2, 3, 2)), ["a", "b"], form="film").double())
    model.prefer([0.25, 0.75])
    held, inputs = model.model[0].parametrizations, torch.randn(4, 2, 5, dtype=torch.float64)
    shares = torch.tensor([0.25, 0.75], dtype=torch.float64)
    plain = nn.functional.conv1d(inputs, held.weight.original)
    factor = (1 + shares @ held.weight[0].factors)[:, None]
    shift = (held.bias.original + shares @ held.bias[0].offsets)[:, None]
    torch.testing.assert_close(model(inputs), factor * plain + shift)


def test_the_input_form_appends_the_preference_to_the_inputs():
    model = stirred(Conditioned(small(), TASKS, form="input"))
    model.prefer([0.2, 0.3, 0.5])
    inputs, first = MODELS["dense"][1], model.model[0]
    held = first.parametrizations.bias
    wide = torch.cat([first.weight, held[0].offsets.T], dim=1)
    appended = torch.cat([inputs, torch.tensor([[0.2, 0.3, 0.5]]).expand(5, 3)], dim=1)
    torch.testing.assert_close(model.model[0](inputs), appended @ wide.T + held.original)
    assert model.adapted == ("0",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["dense", "images"])
def test_the_plain_copy_has_the_same_outputs_to_the_bit(name, form):
    make, inputs = MODELS[name]
    model = stirred(Conditioned(make(), TASKS, rank=2, form=form))
    for preference in ([0, 1, 0], [0.2, 0.3, 0.5]):  # twice: the first copy must leave the model alone
        plain = model.at(preference)
        with model.prefer(preference):
            assert torch.equal(plain(inputs), model(inputs))
        assert plain.state_dict().keys() == make().state_dict().keys()
        assert [type(layer) for layer in plain] == [type(layer) for layer in make()]
    before = model(inputs).clone()
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.zero_()
    assert torch.equal(model(inputs), before)


def test_padding_stays_zero_and_embeddings_are_adapted():
    make, numbers = MODELS["words"]
    model = Conditioned(make(), TASKS, rank=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for preference in ([1, 0, 0], [0, 0.5, 0.5], [0.2, 0.3, 0.5]):
        model.prefer(preference)
        optimizer.zero_grad()
        model(numbers).square().sum().backward()
        optimizer.step()
    assert torch.equal(model.model.table.weight[0], torch.zeros(5))
    assert model.model.table.parametrizations.weight[0].up.abs().sum() > 0


def test_the_state_loads_and_belongs_to_its_tasks():
    inputs = MODELS["dense"][1]
    model = stirred(Conditioned(small(), TASKS, rank=2))
    other = Conditioned(small(), TASKS, rank=2).eval()
    other.load_state_dict(model.state_dict())
    for one in (model, other):
        one.prefer([0.2, 0.3, 0.5])
    assert torch.equal(model(inputs), other(inputs))
    with pytest.raises(StateError, match="'a', 'b', 'c'; this model has 'b', 'a', 'c'"):
        Conditioned(small(), ["b", "a", "c"], rank=2).load_state_dict(model.state_dict())


def test_the_preference_comes_back_and_copies_have_their_own():
    model = stirred(Conditioned(small(), ["a", "b"]))
    model.prefer([0.5, 0.5])
    inside = []

    def fail() -> None:
        with model.prefer([0.25, 0.75]):
            inside.append(model.preference)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [{"a": 0.25, "b": 0.75}]
    assert model.preference == {"a": 0.5, "b": 0.5}
    twin = copy.deepcopy(model)
    twin.prefer([1, 0])
    assert model.preference == {"a": 0.5, "b": 0.5}
    assert not torch.equal(twin(MODELS["dense"][1]), model(MODELS["dense"][1]))
    model.prefer(eq.LinearScalarization({"b": 1.0, "a": 0.0}))
    assert model.preference == {"a": 0.0, "b": 1.0}


def test_a_graph_keeps_the_preference_of_its_forward_pass():
    model = stirred(Conditioned(small(), ["a", "b"]))
    model.prefer([1, 0])
    loss = model(MODELS["dense"][1]).square().sum()
    model.prefer([0, 1])
    loss.backward()
    offsets = model.model[0].parametrizations.bias[0].offsets.grad
    assert offsets[0].abs().sum() > 0
    assert torch.equal(offsets[1], torch.zeros(6))


def test_added_parameters_are_counted():
    model = Conditioned(nn.Linear(784, 100), ["a", "b"], rank=1)
    assert model.added_parameters == 2 * (784 + 100 + 100)
    assert model.plain_parameters == 784 * 100 + 100
    assert Conditioned(small(), ["a", "b"], layers=["2"]).adapted == ("2",)


@pytest.mark.parametrize(
    ("preference", "error", "words"),
    [
        ([0.5, 0.6], PreferenceError, "sum 1.1"),
        ([1.5, -0.5], PreferenceError, "non-negative"),
        ([0.2, 0.3, 0.5], PreferenceError, "got 3"),
        ([float("nan"), 1.0], PreferenceError, "finite"),
        ("ab", PreferenceError, "mapping"),
        (None, PreferenceError, "got None"),
        (eq.Ray([1, 2]), PreferenceError, "shares of its tasks"),
        (eq.LinearScalarization([1, 1]), PreferenceError, "sum 2"),
        ({"a": 0.5, "x": 0.5}, TaskError, "missing: 'b'; unknown: 'x'"),
        ({"a": 1.0}, TaskError, "missing: 'b'"),
    ],
    ids=["sum", "negative", "length", "nan", "text", "none", "ray", "weights", "unknown", "missing"],
)
def test_a_bad_preference_is_refused_and_the_earlier_one_stays(preference, error, words):
    model = Conditioned(small(), ["a", "b"])
    model.prefer([0.25, 0.75])
    with pytest.raises(error, match=words):
        model.prefer(preference)
    assert model.preference == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (lambda: nn.Sequential(nn.LayerNorm(3), nn.ReLU()), {}, "no layer to adapt.*'LayerNorm'"),
        (lambda: nn.Embedding(3, 2, sparse=True), {}, "no layer to adapt"),
        (small, {"layers": ["1"]}, "'1' fits none of '0', '2'"),
        (small, {"layers": "2"}, "sequence of prefixes"),
        (small, {"rank": 0}, "rank=0"),
        (small, {"form": "hyper"}, "form='hyper'"),
        (lambda: nn.LazyLinear(3), {}, "run one batch"),
        (lambda: parametrizations.weight_norm(nn.Linear(2, 2)), {}, "parametrized"),
        (lambda: nn.Linear(2, 2, bias=False), {"form": "input"}, "bias of the first layer"),
    ],
    ids=["none", "sparse", "prefix", "text", "rank", "form", "lazy", "taken", "bias"],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_what_cannot_be_conditioned_is_refused_and_unchanged(make, settings, words):
    model = make()
    keys = list(model.state_dict())
    with pytest.raises(SettingError, match=words):
        Conditioned(model, ["a", "b"], **settings)
    assert list(model.state_dict()) == keys


def test_two_tasks_are_needed():
    with pytest.raises(SettingError, match="two tasks"):
        Conditioned(small(), ["a"])
    with pytest.raises(TaskError, match="differ"):
        Conditioned(small(), ["a", "a"])
