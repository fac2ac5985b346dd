"""A step that is interrupted anywhere has not happened: the same call again gives the uninterrupted run."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import equipoise as eq
from equipoise.errors import NonFiniteError

from .problems import TwoPart, batch

NAMES = ("t0", "t1", "t2")
SOURCE = str(Path(eq.__file__).parent)
POINTS = 10

SETTINGS = {
    "random": {"method": eq.RLW()},
    "loss state": {"method": eq.OMDTchebycheff()},
    "trained": {"method": eq.UncertaintyWeighting()},
    "gramian": {"method": eq.MGDA()},
    "by features": {"method": eq.CAGrad(), "features": True},
    "recompute": {"method": eq.PCGrad(seed=2), "mode": "recompute"},
    "jacobian": {"method": eq.MoCo()},
    "by tensor": {"method": eq.Smoothed(), "granularity": "tensor"},
    "weights again": {"method": eq.IMTL(), "gradients": eq.Every(2)},
    "sketch": {"method": eq.GradVac(), "gradients": eq.Sketch(16)},
    "window": {"method": eq.MGDA(), "window": 2},
    "window, losses": {"method": eq.OMDTchebycheff(), "window": 2},
    "window, jacobian": {"method": eq.MoCo(), "window": 2},
    "window, sketch": {"method": eq.MGDA(), "gradients": eq.Sketch(16), "window": 2},
    "window, recompute": {"method": eq.CAGrad(), "mode": "recompute", "window": 2},
}


class Run:
    """A model with batch statistics, checkpoints and a hook; its Balancer; and an optimizer."""

    def __init__(self, method, window=1, features=False, **settings):
        self.model = TwoPart()
        self.model.trunk.insert(1, nn.BatchNorm1d(8).double())
        self.fired = []
        self.model.trunk[0].weight.register_hook(lambda _: self.fired.append(1))
        needs_tasks = any(tensor.trained for tensor in method.state_tensors)
        more = {"tasks": NAMES} if needs_tasks else {}
        self.balancer = eq.Balancer(method, model=self.model, **more, **settings)
        self.with_features = features
        if window > 1:
            self.balancer.accumulate(window)
        self.window, self.calls = window, 0
        self.optimizer = torch.optim.SGD([*self.model.parameters(), *self.balancer.parameters()], lr=0.05)

    def losses(self):
        x, y = batch(seed=self.calls)
        z = self.model.features(x) if self.with_features else checkpoint(self.model.trunk, x, use_reentrant=False)
        return self.model.losses(z, y), z if self.with_features else None

    def finish(self, loss):
        loss.backward()
        self.calls += 1
        if self.calls % self.window == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def call(self):
        losses, z = self.losses()
        self.finish(self.balancer(losses, features=z))

    def known(self):
        """Everything that a step may move, as plain data."""
        b = self.balancer
        window = b.accumulation
        parts = {} if window is None else {
            "done": window.done, "losses": dict(window._losses), "counts": dict(window._counts),
            "sums": {number: tensor.clone() for number, tensor in enumerate(window._sums.values())},
            "sketches": dict(window._sketches), "held": len(window._held),
        }  # fmt: skip
        return {
            "state": {name: tensor.clone() for name, tensor in b.state.items()}, "tasks": b.tasks, "steps": b.steps,
            "counts": dict(b.counts), "last": id(b.last), "carried": b.carried, "reached": b.ownership.reached,
            "names": list(b.ownership._names.values()), "window": parts, "plan": b.plan,
            "buffers": {name: tensor.clone() for name, tensor in self.model.named_buffers()},
            "hooks": len(self.model.trunk[0].weight._backward_hooks),
        }  # fmt: skip

    def outcome(self):
        return torch.cat([p.detach().flatten() for p in [*self.model.parameters(), *self.balancer.parameters()]])


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, torch.Tensor):
        return one.numpy().tobytes() == other.numpy().tobytes()
    return one == other


def traced(work, stop=None):
    """Runs `work`; raises KeyboardInterrupt at the event number `stop`. Returns how many events there were.

    Events are the entries of all Python functions, where CPython looks for signals, and every line of the library; not
    the lines of the outermost call, which calls nothing between the module's return and its own.
    """
    seen = 0

    def event(frame, kind, _):
        nonlocal seen
        ours = frame.f_code.co_filename.startswith(SOURCE)
        if kind == "call" or (kind == "line" and ours and not frame.f_code.co_filename.endswith("whole.py")):
            seen += 1
            if seen == stop:
                raise KeyboardInterrupt
        return event

    sys.settrace(event)
    try:
        work()
    finally:
        sys.settrace(None)
    return seen


def begun(setting, first):
    run = Run(**setting)
    for _ in range(first):
        run.call()
    return run


def interrupted(run, stop):
    """One call that is interrupted: what it changed, or None where Python itself swallowed the interruption.

    That is so in weak references' callbacks and where generators are closed; the step then goes on.
    """
    losses, z = run.losses()
    before = run.known()
    try:
        traced(lambda: run.balancer(losses, features=z), stop)
    except KeyboardInterrupt:
        after = run.known()
        return [key for key in before if not same(before[key], after[key])]
    return None


def events_of_a_call(setting, first):
    run = begun(setting, first)
    losses, z = run.losses()
    return traced(lambda: run.balancer(losses, features=z))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("name", list(SETTINGS))
def test_an_interrupted_step_leaves_everything_as_it_was(name, first):
    setting = SETTINGS[name]
    events_of_a_call(setting, first)  # fills caches
    total = events_of_a_call(setting, first)
    points = sorted({1 + (total - 1) * i // (POINTS - 1) for i in range(POINTS)} | {total - i for i in range(1, 6)})
    run, hit = begun(setting, first), 0
    for stop in points:  # one after the other on the same objects: each must leave them as they were
        changed = interrupted(run, stop)
        if changed is None:
            run = begun(setting, first)
            continue
        hit += 1
        assert changed == [], f"event {stop} of {total}"
    assert hit >= POINTS // 2
    plain = begun(setting, first)
    for _ in range(4 - first % 2):
        run.call()
        plain.call()
    assert same(run.outcome(), plain.outcome())
    assert same(run.balancer.state_dict(), plain.balancer.state_dict())
    assert run.fired == plain.fired


@pytest.mark.parametrize("window", [1, 2])
def test_running_out_of_memory_anywhere_is_no_different(window, monkeypatch):
    run, plain = Run(eq.MGDA(), window), Run(eq.MGDA(), window)
    run.call()
    losses, _ = run.losses()
    before = run.known()
    promote = torch.promote_types
    calls = iter(range(100))

    def fails_late(*types):
        if next(calls) == 7:
            raise torch.OutOfMemoryError
        return promote(*types)

    monkeypatch.setattr(torch, "promote_types", fails_late)
    with pytest.raises(torch.OutOfMemoryError):
        run.balancer(losses)
    monkeypatch.setattr(torch, "promote_types", promote)
    assert same(before, run.known())
    plain.call()
    for _ in range(3):
        run.call()
        plain.call()
    assert same(run.outcome(), plain.outcome())


def test_a_forward_hook_that_fails_takes_the_step_back():
    run = Run(eq.RLW())
    run.call()

    def fails(*_):
        raise OSError("disk full")

    handle = run.balancer.register_forward_hook(fails)
    before = run.known()
    with pytest.raises(OSError, match="disk full"):
        run.balancer(run.losses()[0])
    after = run.known()
    assert [key for key in before if key != "buffers" and not same(before[key], after[key])] == []
    handle.remove()


def test_a_bad_micro_batch_is_refused_at_once_and_those_before_still_wait():
    run, plain = Run(eq.MGDA(), 2), Run(eq.MGDA(), 2)
    run.call()
    losses, _ = run.losses()
    before = run.known()
    with pytest.raises(NonFiniteError, match="'t1': nan"):
        run.balancer(losses | {"t1": losses["t1"] * torch.nan})
    weight = run.model.trunk[0].weight
    with pytest.raises(NonFiniteError, match=r"'t2'.*trunk\.0\.weight"):
        run.balancer(losses | {"t2": losses["t2"] + (weight * 0).sum().sqrt()})
    assert same(before, run.known())
    for _ in range(3):
        run.call()
    for _ in range(4):
        plain.call()
    torch.testing.assert_close(run.outcome(), plain.outcome())
