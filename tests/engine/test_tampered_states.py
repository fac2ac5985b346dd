"""A saved state that is damaged, of another version, or holds nonsense is refused whole: nothing changes."""

import copy
import json

import pytest
import torch
from torch import nn

import equipoise as eq
from equipoise.errors import StateError

from .comparing import every_method
from .problems import TwoPart, batch

NAMES = ("t0", "t1", "t2")
METHODS = every_method()


def balancer_of(name, **settings):
    return eq.Balancer(METHODS[name], tasks=NAMES, steps_per_epoch=3, **settings)


def stepped(balancer, steps=4):
    model = TwoPart(dtype=torch.float32)
    for seed in range(steps):
        x, y = batch(seed=seed, dtype=torch.float32)
        z = model.features(x)
        balancer(model.losses(z, y), features=z).backward()
    return balancer


SAVED = {}


def saved_of(name):
    if name not in SAVED:
        SAVED[name] = stepped(balancer_of(name)).state_dict()
    return {key: tensor.clone() for key, tensor in SAVED[name].items()}


def text_of(saved):
    return json.loads(bytes(saved["about"].tolist()))


def with_text(saved, **entries):
    """The state with other entries in its text; those that are None-like sentinels are taken out."""
    text = text_of(saved) | entries
    text = {key: value for key, value in text.items() if value is not Ellipsis}
    return saved | {"about": as_bytes(json.dumps(text))}


def as_bytes(text):
    return torch.tensor(list(text if isinstance(text, bytes) else text.encode()), dtype=torch.uint8)


def carried(saved, **entries):
    return with_text(saved, carried=text_of(saved)["carried"] | entries)


REUSED = {"present": [0, 1, 2], "weights": [0.2, 0.3, 0.5], "heads": [0.3, 0.3, 0.4], "age": 1}
TEXTS = {
    "no text": lambda s: {key: value for key, value in s.items() if key != "about"},
    "text cast": lambda s: s | {"about": s["about"].float()},
    "text of one number": lambda s: s | {"about": torch.tensor(7, dtype=torch.uint8)},
    "text as numpy": lambda s: s | {"about": s["about"].numpy()},
    "text cut": lambda s: s | {"about": s["about"][:-5]},
    "text empty": lambda s: s | {"about": s["about"][:0]},
    "text not UTF-8": lambda s: s | {"about": as_bytes(b"\xff\xfe{}")},
    "text deep": lambda s: s | {"about": as_bytes("[" * 100_000)},
    "text null": lambda s: s | {"about": as_bytes("null")},
    "later version": lambda s: with_text(s, format=2),
    "no version": lambda s: with_text(s, format="one"),
    "unknown entry": lambda s: with_text(s, mood="good"),
    "entry missing": lambda s: with_text(s, counts=...),
    "other method": lambda s: with_text(s, method="Nonsense()"),
    "method a number": lambda s: with_text(s, method=3),
    "other tasks": lambda s: with_text(s, tasks=["t0", "t1"]),
    "tasks twice": lambda s: with_text(s, tasks=["t0", "t0", "t2"]),
    "tasks a string": lambda s: with_text(s, tasks="abc"),
    "tasks numbers": lambda s: with_text(s, tasks=[0, 1, 2]),
    "tasks none": lambda s: with_text(s, tasks=None),
    "tasks empty": lambda s: with_text(s, tasks=[]),
    "lone surrogate": lambda s: with_text(s, tasks=["\ud800", "t1", "t2"]),
    "steps negative": lambda s: with_text(s, steps=-1),
    "steps broken": lambda s: with_text(s, steps=1.5),
    "steps truth": lambda s: with_text(s, steps=True),
    "steps huge": lambda s: with_text(s, steps=10**30),
    "counts a list": lambda s: with_text(s, counts=[1]),
    "counts negative": lambda s: with_text(s, counts={"SOLVED": -4}),
    "counts words": lambda s: with_text(s, counts={"SOLVED": "many"}),
    "reached strangers": lambda s: with_text(s, reached={"w": [0, 7]}),
    "reached negative": lambda s: with_text(s, reached={"w": [-1]}),
    "reached words": lambda s: with_text(s, reached={"w": "all"}),
    "other granularity": lambda s: with_text(s, granularity="tensor"),
    "carried a list": lambda s: with_text(s, carried=[]),
    "carried cut": lambda s: with_text(s, carried={"power": 16}),
    "carried unknown": lambda s: carried(s, x=1),
    "layout nonsense": lambda s: carried(s, layout=["w"]),
    "layout negative": lambda s: carried(s, layout=[["w", -3]]),
    "layout twice": lambda s: carried(s, layout=[["w", 3], ["w", 3]]),
    "layout enormous": lambda s: carried(s, layout=[["w", 10**15]]),
    "groups of none": lambda s: carried(s, groups=["a"]),
    "power huge": lambda s: carried(s, power=2000),
    "reused strangers": lambda s: carried(s, reused=REUSED | {"present": [0, 1, 5]}),
    "reused short": lambda s: carried(s, reused=REUSED | {"weights": [1.0]}),
    "reused NaN": lambda s: carried(s, reused=REUSED | {"weights": [float("nan"), 0.3, 0.5]}),
    "reused age": lambda s: carried(s, reused=REUSED | {"age": 0}),
    "extra key": lambda s: s | {"state_nonsense": torch.zeros(3)},
    "extra trained": lambda s: s | {"trained.nonsense": torch.zeros(3)},
}


def known(balancer):
    """All that loading may change."""
    return copy.deepcopy(
        {
            "state": dict(balancer.state),
            "trained": {name: p.detach() for name, p in balancer.trained.items()},
            "rest": (balancer.tasks, balancer.steps, dict(balancer.counts), balancer.carried),
            "reached": balancer.ownership.reached,
        }
    )


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
    return one == other


def refused(balancer, state, strict=True):
    before = known(balancer)
    with pytest.raises(StateError) as caught:
        balancer.load_state_dict(state, strict=strict)
    assert same(before, known(balancer))
    return str(caught.value)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_text_that_was_tampered_with_is_refused_by_every_method(name):
    fresh, used = balancer_of(name), stepped(balancer_of(name), 1)
    saved = saved_of(name)
    jacobian = isinstance(METHODS[name], eq.methods.JacobianMethod)
    grows = jacobian and any(tensor.dim() == 2 for tensor in METHODS[name].init(3, 5).values())
    for kind, tamper in TEXTS.items():
        if kind == "layout enormous" and jacobian and not grows:
            continue  # it remembers no number of a parameter, so its layout has no size to differ from
        for balancer in (fresh, used):
            assert refused(balancer, tamper(saved)), kind


def tampered(key, tensor):
    """Ways to spoil one tensor."""
    floating = tensor.dtype.is_floating_point
    yield "missing", None
    yield "a list", tensor.tolist()
    yield "numpy", tensor.numpy()
    yield "one axis more", tensor[None]
    yield "longer", torch.cat([tensor.reshape(-1), tensor.reshape(-1), torch.zeros(1, dtype=tensor.dtype)])
    yield "complex", tensor.to(torch.complex64)
    yield "truth values", tensor.bool()
    yield "no numbers", tensor.to("meta")
    if tensor.dim():
        yield "shorter", tensor[:-1]
        yield "sparse", tensor.to_sparse()
    if floating and not key.startswith("trained"):
        yield "half", tensor.half()
    if floating:
        yield "whole numbers", torch.zeros_like(tensor, dtype=torch.int64)
    else:
        yield "negative", torch.full_like(tensor, -1)
        yield "floating", tensor.double()


@pytest.mark.parametrize("name", list(METHODS))
def test_tensors_that_were_tampered_with_are_refused_by_every_method(name):
    fresh, used, saved = balancer_of(name), stepped(balancer_of(name), 1), saved_of(name)
    for key in saved.keys() - {"about"}:
        for kind, value in tampered(key, saved[key]):
            state = {k: v for k, v in saved.items() if k != key} if value is None else saved | {key: value}
            for balancer in (fresh, used):
                for strict in (True, False):
                    assert key in refused(balancer, state, strict), kind


@pytest.mark.parametrize("name", list(METHODS))
def test_nan_and_inf_are_refused_where_the_method_itself_never_has_them(name):
    balancer, saved, begins = balancer_of(name), saved_of(name), METHODS[name].init(3, 1)
    for key in saved.keys() - {"about"}:
        if not saved[key].dtype.is_floating_point:
            continue
        begin = begins[key.removeprefix("trained.").removeprefix("state_")]
        for odd, found in (
            (torch.nan, torch.isnan(begin)),
            (torch.inf, torch.isposinf(begin)),
            (-torch.inf, torch.isneginf(begin)),
        ):
            spoilt = saved[key].clone()
            spoilt.reshape(-1)[-1] = odd
            if found.any():  # not measured yet
                balancer.load_state_dict(saved | {key: spoilt})
            else:
                assert f"'{key}' holds" in refused(balancer, saved | {key: spoilt})


def test_the_methods_of_whom_it_is_known_that_nan_would_reach_the_weights():
    for name, key in (
        ("smoothed", "state_smoothed"), ("dbmtl", "state_tracked"), ("excessmtl", "state_log_weights"),
        ("excessmtl", "state_squares"), ("gradnorm", "state_task_weights"), ("imtl", "trained.log_scale"),
    ):  # fmt: skip
        saved = saved_of(name)
        assert "holds NaN" in refused(balancer_of(name), saved | {key: saved[key] * torch.nan})


def test_all_that_is_wrong_is_named_at_once():
    saved = saved_of("moco")
    spoilt = saved | {
        "state_seen": -saved["state_seen"],
        "state_dual": saved["state_dual"][:2],
        "state_x": torch.ones(1),
    }
    message = refused(balancer_of("moco"), spoilt)
    for part in (
        "'state_seen' counts from 0",
        "'state_dual' has shape (2,) where (3,) is needed",
        "'state_x' is unknown",
    ):
        assert part in message


def test_states_of_earlier_versions_load():
    saved = with_text(saved_of("moco"), format=...)  # the text had no version then
    balancer = balancer_of("moco")
    balancer.load_state_dict(saved)
    assert balancer.steps == 4
    old = saved_of("imtl")  # with weights used again, a copy of the trained parameter was written beside it
    other = balancer_of("imtl")
    other.load_state_dict(old | {"state_log_scale": old["trained.log_scale"].clone()})
    assert set(other.state_dict()) == {"about", "trained.log_scale"}


def test_a_trained_method_with_weights_used_again_writes_states_that_load():
    model = TwoPart()

    def make():
        return eq.Balancer(eq.IMTL(), tasks=NAMES, model=model, gradients=eq.Every(3))

    balancer, (x, y) = make(), batch()
    for step in range(1, 5):
        balancer(model.losses(model.features(x), y)).backward()
        assert set(balancer.state_dict()) == {"about", "trained.log_scale"}
        fresh = make()
        fresh.load_state_dict(balancer.state_dict())
        assert fresh.steps == step
        assert fresh.carried == balancer.carried


def test_a_checkpoint_from_before_the_balancer_loads_where_keys_may_be_missing():
    old = nn.ModuleDict({"net": nn.Linear(3, 2)}).state_dict()
    new = nn.ModuleDict({"net": nn.Linear(3, 2), "balancer": eq.Balancer(eq.UncertaintyWeighting(), tasks=("a", "b"))})
    found = new.load_state_dict(old, strict=False)
    assert found.missing_keys == ["balancer.about", "balancer.trained.log_variance"]
    assert torch.equal(new["net"].weight, old["net.weight"])
    with pytest.raises(RuntimeError, match=r"Missing key.*balancer\.about"):
        new.load_state_dict(old)
    half = old | {"balancer.trained.log_variance": torch.ones(2)}
    with pytest.raises(StateError, match=r"'balancer\.about' is missing"):
        new.load_state_dict(half, strict=False)
    assert torch.equal(new["balancer"].trained["log_variance"].detach(), torch.zeros(2))


def test_loading_forgets_micro_batches_that_wait():
    model, (x, y) = TwoPart(), batch()
    balancer = eq.Balancer(eq.MGDA())
    saved = stepped(eq.Balancer(eq.MGDA())).state_dict()
    balancer.accumulate(2)
    balancer(model.losses(model.features(x), y)).backward()
    balancer.load_state_dict(saved)
    assert balancer.waiting == 0
    assert balancer.steps == 4
