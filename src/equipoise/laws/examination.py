"""The examination: each claimed law on every input family, each refuted law on its counter-example."""

import copy
import pickle
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..core.tasks import Tasks
from ..errors import EquipoiseError, EquipoiseWarning, LawViolation, SettingError
from ..methods.base import Answer, GramianMethod, JacobianMethod, LossMethod, Method, State, Step
from ..methods.run import Outcome
from ..methods.state import restrict
from .cases import Case, families
from .law import laws
from .trials import Moment, Trial, play, trials

__all__ = ["Examination", "check_method"]

_CLOSE = 1e-5
"""Trained state may be float32, so its slopes are."""

_FAULTS = (EquipoiseError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that a method under examination may raise; they are reported beside the other failures."""

Claim = Literal["claimed", "refuted", "not claimed"]


@dataclass(frozen=True)
class Examination:
    """Record of an examination.

    Attributes:
        method: The method as it prints.
        states: State of each law at each k: claimed, refuted or not claimed.
        checks: Number of checks that were made; all passed.
    """

    method: str
    states: dict[str, dict[int, Claim]]
    checks: int

    def __str__(self) -> str:
        lines = [f"{self.method}: {self.checks} checks passed"]
        for law, by_size in self.states.items():
            lines.append(f"  {law:<12} " + ", ".join(f"k={k}: {state}" for k, state in by_size.items()))
        return "\n".join(lines)


def check_method(method: Method, *, sizes: Iterable[int] = (1, 2, 3, 5, 10), seed: int = 0) -> Examination:
    """Examine a method: the contract, every claimed law, every refuted law.

    Args:
        method: An instance; its claims depend on its settings.
        sizes: Numbers of tasks to examine.
        seed: Seed of the input families.

    Returns:
        The checks that were made, and their outcomes.

    Raises:
        LawViolation: With every law that is broken, the input it breaks on, and by how much.

    Cost:
        33 inputs for each size, each two runs of three steps for a method with memory; one to three seconds for the
        default sizes.

    Example:
        >>> from equipoise.methods import MGDA
        >>> check_method(MGDA(), sizes=(2, 3)).states["no_conflict"]
        {2: 'claimed', 3: 'claimed'}
    """
    if not isinstance(method, Method):
        hint = f"; give an instance: {method.__name__}()" if isinstance(method, type) else ""
        raise SettingError(f"`check_method` examines a method; got {method!r}{hint}.")
    sizes, checks = tuple(sizes), 0
    failures = [*_contract(method), *_run(method, min(4, max(sizes))), *_zero_gradient(method)]
    unknown = (set(method.refutes()) | set().union(*(method.claims(k) for k in sizes))) - set(laws)
    if unknown:
        failures.append(f"{method!r} names unknown laws {sorted(unknown)}; known are {sorted(laws)}.")
    states: dict[str, dict[int, Claim]] = {name: {} for name in laws}
    for k in sizes:
        cases = [(case, tuple(trials(method, case))) for case in families(k, seed=seed)]
        for name, law in laws.items():
            claimed = name in method.claims(k)
            states[name][k] = "claimed" if claimed else "not claimed"
            for case, runs in cases if claimed else ():
                checks += 1
                try:
                    law.check_runs(method, runs)
                except LawViolation as violation:
                    failures.append(str(violation))
                except _FAULTS as fault:
                    failures.append(f"{method!r} fails on {case.name} (k={k}): {type(fault).__name__}: {fault}.")
                    break
    for name, example in method.refutes().items():
        if name not in laws:
            continue
        rows = np.array(example.jacobian)
        losses = np.ones(len(rows)) if example.losses is None else np.array(example.losses)
        states[name] |= {k: "refuted" for k, state in states[name].items() if k == len(rows) and state != "claimed"}
        checks += 1
        if _holds(method, name, Case("its stored counter-example", rows, losses)):
            failures.append(f"{method!r} refutes `{name}`, but the law holds on its stored counter-example.")
        if name in method.claims(len(rows)):
            failures.append(f"{method!r} both claims and refutes `{name}` at k={len(rows)}.")
    if failures:
        raise LawViolation("\n".join(failures))
    return Examination(repr(method), states, checks)


def _holds(method: Method, law: str, case: Case) -> bool:
    try:
        laws[law].check(method, case)
    except LawViolation:
        return False
    return True


def _contract(method: Method) -> Iterable[str]:
    kind = type(method)
    if not is_dataclass(method) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield f"{kind.__name__} must be a frozen dataclass."
        return
    values = [getattr(method, setting.name) for setting in fields(method)]
    if any(isinstance(value, torch.Tensor) for value in values):
        yield f"{method!r} holds a tensor as a setting; settings are plain values."
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EquipoiseWarning)  # it was said when the method was made
        rebuilt = kind(*values)
    for copied in (copy.deepcopy(method), pickle.loads(pickle.dumps(method)), rebuilt):  # noqa: S301 - our own bytes
        if copied != method or hash(copied) != hash(method):
            yield f"{method!r} does not survive a copy: it came back as {copied!r}."
    for attribute in ("source", "cost"):
        if not getattr(kind, attribute, ""):
            yield f"{kind.__name__}.{attribute} must be stated."
    declared = {tensor.name: tensor for tensor in method.state_tensors}
    for k in (1, 4):
        state = method.init(k)
        if set(state) != set(declared):
            yield f"{method!r}.init({k}) makes {sorted(state)}, but {sorted(declared)} are declared."
            continue
        for name, tensor in declared.items():
            if any(state[name].shape[axis] != k for axis in tensor.task_axes):
                shape = tuple(state[name].shape)
                yield f"{method!r}: state '{name}' has shape {shape} for k={k}, task axes {tensor.task_axes}."


def _run(method: Method, k: int) -> Iterable[str]:
    """What a method returns in a short run of ordinary inputs: Answers of the right shapes, memory in the state."""
    try:
        yield from _short_run(method, k)
    except _FAULTS as fault:
        yield f"{method!r} fails on an ordinary input (k={k}): {type(fault).__name__}: {fault}."


def _short_run(method: Method, k: int) -> Iterable[str]:
    case = next(families(k, scales=(1.0,)))
    *_, trial = trials(method, case)
    names = tuple(f"task{i}" for i in range(k))
    state, twin = method.init(*case.jacobian.shape), copy.deepcopy(method)
    for jacobian, losses, present in trial.moments:
        here = np.flatnonzero(present).tolist()
        step = Step(Tasks(names, tuple(here)), torch.from_numpy(losses[here]))
        problems = list(_one_step(method, torch.from_numpy(jacobian[here]), restrict(method, state, here), step))
        if problems:
            yield from problems
            return
        state = play(method, Trial("", (Moment(jacobian, losses, present),)), state)[-1].state
    first = play(method, trial)
    again, elsewhere = play(method, trial), play(twin, trial)
    if not all(_equal(one, other) for one, other in zip([*first, *first], [*again, *elsewhere], strict=True)):
        yield f"{method!r} gives another direction when the same run is made again: what it draws on must be its state."
        return
    for number in range(1, len(first)):
        rest = Trial("", trial.moments[number:])
        saved = {name: tensor.clone() for name, tensor in first[number - 1].state.items()}
        resumed = play(copy.deepcopy(method), rest, saved)
        if not all(_equal(one, other) for one, other in zip(first[number:], resumed, strict=True)):
            yield f"{method!r} gives another direction when it goes on from its saved state after step {number}."
            return


def _zero_gradient(method: Method) -> Iterable[str]:
    """Whether a mean still counts a task whose row was left out because its gradient is exactly zero.

    The direction with a zero gradient is set against the one with a tiny gradient in its place. A method that divides
    by the number of rows instead of `Step.count` jumps by exactly count/rows.
    """
    if not isinstance(method, GramianMethod) or not method.leaves_out_zero_gradients or method.state_tensors:
        return
    rows = torch.tensor([[3.0, 1.0, 0.0, 0.0], [-1.0, 2.0, 0.5, 0.0], [0.5, 0.5, 2.0, 0.0], [0.0, 0.0, 0.0, 1e-7]])
    tasks, found = Tasks(("task0", "task1", "task2", "task3")), []
    for chosen in (rows[:3].double(), rows.double()):
        step = Step(tasks.only(range(len(chosen))), torch.ones(len(chosen), dtype=torch.float64), count=4)
        try:
            answer = method.weights(chosen @ chosen.T, {}, step)
            found.append((answer.value.double() @ chosen).numpy())
        except _FAULTS:
            return  # the run on ordinary inputs reports it, or the method refuses such input by name
    without, limit = found
    size = float(np.linalg.norm(without))
    if size > 0 and float(np.linalg.norm(without - limit * 4 / 3)) <= _CLOSE * size:
        yield (
            f"{method!r} divides by the number of rows: with one of four gradients exactly zero the direction is 4/3 "
            "of the one with a tiny gradient in its place. Rows of zero gradient are left out of the Gramian but still "
            "count: divide by step.count instead of len(gramian)."
        )


def _equal(one: Outcome, other: Outcome) -> bool:
    return torch.equal(one.direction, other.direction)


def _derivative(method: LossMethod, losses: Tensor, state: State, step: Step) -> Iterable[str]:
    """Whether weights given in closed form are the derivative of the scalar, and so for trained state."""
    given, slow = method.implied_weights(losses, state, step), LossMethod.implied_weights(method, losses, state, step)
    pairs = {"weights": (given.value, slow.value)}
    pairs |= {
        f"slope of {name}": (given.trained.get(name, torch.zeros(0)), slow.trained[name]) for name in slow.trained
    }
    for what, (found, wanted) in pairs.items():
        close = found.shape == wanted.shape and torch.allclose(found.to(wanted), wanted, rtol=_CLOSE, atol=_CLOSE)
        if not close:
            yield (
                f"{method!r}.implied_weights gives the {what} {found.tolist()}; the derivative of `scalar` is "
                f"{wanted.tolist()}. Leave implied_weights out to have it taken."
            )


def _one_step(method: Method, rows: Tensor, state: State, step: Step) -> Iterable[str]:
    k = len(rows)
    before = {name: tensor.clone() for name, tensor in state.items()}
    assert step.losses is not None
    shape: tuple[int, ...]
    if isinstance(method, LossMethod):
        answer, shape = method.scalar(step.losses.clone().requires_grad_(), state, step), ()
        yield from _derivative(method, step.losses, state, step)
    elif isinstance(method, GramianMethod):
        answer, shape = method.weights(rows @ rows.T, state, step), (k,)
    elif isinstance(method, JacobianMethod):
        answer, shape = method.direction(rows, state, step), (rows.shape[1],)
    else:
        yield f"{method!r} is of no known kind: subclass LossMethod, GramianMethod or JacobianMethod."
        return
    if not isinstance(answer, Answer):
        yield f"{method!r} returned {type(answer).__name__}; return Answer(value, state)."
        return
    if not isinstance(answer.value, torch.Tensor) or tuple(answer.value.shape) != shape:
        found = tuple(answer.value.shape) if hasattr(answer.value, "shape") else type(answer.value).__name__
        yield f"{method!r} returned a value of {found}; a tensor of shape {shape} is needed."
    elif not torch.isfinite(answer.value).all():
        yield f"{method!r} returned a value that is not finite on an ordinary input."
    if isinstance(answer.value, torch.Tensor) and answer.value.dtype != torch.float64:
        yield (
            f"{method!r} returned {answer.value.dtype}; everything arrives in float64 and must be returned in float64. "
            "Create tensors like the input: torch.ones_like(gramian.diagonal()), or dtype=torch.float64."
        )
    if set(answer.state) != set(before):
        yield f"{method!r} returned the state {sorted(answer.state)}; declared are {sorted(before)}."
    for name, tensor in before.items():
        if not torch.equal(state[name].nan_to_num(), tensor.nan_to_num()):
            yield f"{method!r} changed its state '{name}' in place; return a new tensor."
        if name in answer.state and answer.state[name].shape != tensor.shape:
            yield f"{method!r} changed the shape of its state '{name}' to {tuple(answer.state[name].shape)}."
