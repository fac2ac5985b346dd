"""Running a method on numbers: the one place where policies for absent tasks and zero gradients are kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.tasks import Preference
from ..errors import LossError, NonFiniteError, PreferenceError, StateError, TaskError, listed
from ..solve import Status
from .base import Answer, GramianMethod, JacobianMethod, LossMethod, Method, State, Step
from .state import restore, restrict
from .units import common_unit, in_unit, refuse_nonfinite

__all__ = [
    "Outcome",
    "Weighed",
    "refuse_preference",
    "run_gramian_method",
    "run_loss_method",
    "run_method",
    "weigh",
]


class Weighed(NamedTuple):
    """Result of a method in one step.

    Attributes:
        weights: (k,), float64, detached: the direction is ``weights @ jacobian``.
        state: State of all tasks after the step.
        status: Outcome of the solve.
        certificate: Certificate of the solve.
        left_out: Rows that were taken out of the problem because their gradient is exactly zero.
        trained: Gradients of trained state tensors, by name.
    """

    weights: Tensor
    state: State
    status: Status = Status.SOLVED
    certificate: float = 0.0
    left_out: tuple[int, ...] = ()
    trained: Mapping[str, Tensor] = {}


class Outcome(NamedTuple):
    """Result of a method on a Jacobian.

    Attributes:
        direction: Direction of the shared parameters, (n,), float64.
        weights: Weights of the tasks, (k,), or None for a Jacobian method.
        state: State of all tasks after the step.
        status: Outcome of the solve.
        certificate: Certificate of the solve.
        left_out: Rows that were taken out of the problem; none for a Jacobian method.
        trained: Gradients of trained state tensors; none for a Jacobian method.
    """

    direction: Tensor
    weights: Tensor | None
    state: State
    status: Status
    certificate: float
    left_out: tuple[int, ...] = ()
    trained: Mapping[str, Tensor] = {}


def run_loss_method(method: LossMethod, losses: Tensor, state: State, step: Step) -> Weighed:
    r"""Weights implied by a loss method, :math:`a_i = \partial \phi / \partial L_i` with phi its scalar.

    Args:
        method: Loss method to run.
        losses: Losses of the present tasks, (k,), any float type; computed on in float64.
        state: State of all tasks.
        step: Names of all tasks, and which of them are present.

    Returns:
        Weights, new state, and the gradients of trained tensors (in their own type).
    """
    present = step.tasks.present
    answer = method.implied_weights(losses.detach().double(), restrict(method, state, present), step)
    return _put_back(method, state, present, answer)


def run_gramian_method(method: GramianMethod, gramian: Tensor, state: State, step: Step) -> Weighed:
    """Weights of a Gramian method, with tasks of exactly zero gradient left out where the method asks for it.

    Args:
        method: Gramian method to run.
        gramian: Gramian of the present tasks, (k, k), float64, finite.
        state: State of all tasks.
        step: Names of all tasks, which of them are present, and their losses.

    Returns:
        Weights (0 for rows left out), new state, status, certificate. If every gradient is zero, the weights are
        1/k and the status ``STATIONARY``.
    """
    gramian = gramian.cpu() if method.on_host else gramian
    squares = gramian.diagonal().tolist() if method.on_host and method.leaves_out_zero_gradients else (1.0,)
    if all(squares):
        return _put_back(method, state, step.tasks.present, _asked(method, gramian, state, step))
    rows = range(len(gramian))
    kept, left_out = [i for i in rows if squares[i]], tuple(i for i in rows if not squares[i])
    if not kept:
        uniform = torch.full((len(rows),), 1 / len(rows), dtype=gramian.dtype)
        return Weighed(uniform, state, Status.STATIONARY, left_out=left_out, trained=_gradients(method, state))
    inner = _step_without(step, kept)
    answer = _asked(method, gramian[kept][:, kept], state, inner)
    found = torch.zeros(len(rows), dtype=gramian.dtype, device=gramian.device)
    found[kept] = answer.value
    return _put_back(method, state, inner.tasks.present, answer._replace(value=found))._replace(left_out=left_out)


def _asked(method: GramianMethod, gramian: Tensor, state: State, step: Step) -> Answer:
    shown = restrict(method, state, step.tasks.present) if method.state_tensors else state
    answer = method.weights(gramian, shown, step)
    if method.on_host and not all(map(math.isfinite, answer.value.tolist())):
        refuse_nonfinite(method, "weight", answer.value, step)
    return answer


def _put_back(method: Method, state: State, present: Sequence[int], answer: Answer) -> Weighed:
    """An answer to the tasks at `present` as one for all tasks; trained tensors are the optimizer's to change."""
    weights = answer.value
    if not method.state_tensors:
        return Weighed(weights, answer.state, answer.status, answer.certificate)
    after = restore(method, state, answer.state, present)
    if not method.trains:
        return Weighed(weights, after, answer.status, answer.certificate)
    still = _gradients(method, state)  # a task that is absent or left out trains nothing in this step
    missing = still.keys() - answer.trained.keys()
    if missing:
        raise StateError(
            f"{method!r} declares {listed(sorted(missing))} as trained, so its answer must hold their gradients: "
            "Answer(..., trained={name: gradient})."
        )
    slopes = {name: answer.trained[name].to(still[name]) for name in still}
    gradients = restore(method, {**state, **still}, {**answer.state, **slopes}, present)
    return Weighed(
        weights,
        {**after, **{name: state[name] for name in still}},
        answer.status,
        answer.certificate,
        trained={name: gradients[name] for name in still},
    )


def _step_without(step: Step, kept: list[int]) -> Step:
    """The step as the tasks at `kept` see it; means still count the others."""
    return replace(
        step,
        tasks=step.tasks.only(kept),
        losses=None if step.losses is None else step.losses[kept],
        factor=None if step.factor is None else step.factor[:, kept],
        cross_gramian=None if step.cross_gramian is None else step.cross_gramian[kept][:, kept],
    )


def _gradients(method: Method, state: State) -> dict[str, Tensor]:
    """Zero gradients of the trained state tensors."""
    return {tensor.name: torch.zeros_like(state[tensor.name]) for tensor in method.state_tensors if tensor.trained}


def run_method(method: Method, jacobian: Tensor, state: State, step: Step) -> Outcome:
    """Any method on a flat Jacobian.

    Args:
        method: Method of any kind.
        jacobian: Gradients of the present tasks, (k, n), float64.
        state: State of all tasks.
        step: Names of all tasks, which of them are present, and their losses.

    Returns:
        Direction, weights where there are any, and the new state.

    Raises:
        NonFiniteError: The gradients are so long, or so short, that the answer leaves float64. Gradients whose squares
            do so are measured in another unit where the method has a degree and no memory with a unit.
    """
    if isinstance(method, JacobianMethod):
        answer = method.direction(jacobian, restrict(method, state, step.tasks.present), step)
        refuse_nonfinite(method, "direction", answer.value, step)
        after = restore(method, state, answer.state, step.tasks.present)
        return Outcome(answer.value, None, after, answer.status, answer.certificate)
    if isinstance(method, LossMethod):
        weighed = weigh(method, jacobian, state, step)
        return _mixed(method, weighed, jacobian, step)
    gramian = jacobian @ jacobian.T
    power = common_unit(method, jacobian, gramian.diagonal())
    if power:
        jacobian = in_unit(jacobian, -power)
        gramian = jacobian @ jacobian.T
        step = step if step.losses is None else replace(step, losses=in_unit(step.losses, -power))
    # the triangular factor keeps the digits that the Gramian's squaring loses
    factor = torch.linalg.qr(jacobian.T, mode="r").R
    weighed = weigh(method, gramian, state, replace(step, factor=factor))
    return _mixed(method, weighed, jacobian, step, power)


def _mixed(method: Method, weighed: Weighed, jacobian: Tensor, step: Step, power: int = 0) -> Outcome:
    """The direction of weights that were made for gradients and losses divided by 2^power."""
    degree = (method.degree() or 0.0) if power else 0.0
    direction = in_unit(weighed.weights @ jacobian, degree * power)
    weights = in_unit(weighed.weights, (degree - 1) * power)
    refuse_nonfinite(method, "direction", direction, step)
    refuse_nonfinite(method, "weight", weights, step)
    return Outcome(direction, weights, weighed.state, weighed.status, weighed.certificate)


def weigh(method: Method, gramian: Tensor, state: State, step: Step) -> Weighed:
    """Any method that needs no more than a Gramian; others are refused by name."""
    if isinstance(method, GramianMethod):
        return run_gramian_method(method, gramian, state, step)
    if isinstance(method, LossMethod):
        if step.losses is None:
            raise LossError(f"{method!r} looks at losses; give `losses`.")
        weighed = run_loss_method(method, step.losses, state, step)
        bad = torch.nonzero(~torch.isfinite(weighed.weights)).ravel().tolist()
        if bad:
            shown = [f"'{step.tasks.here[i]}' (loss {float(step.losses[i]):.6g}): {weighed.weights[i]}" for i in bad]
            raise NonFiniteError(
                f"the weights of {method!r} must be finite; {'; '.join(shown)}. Bring the losses near 1, for example "
                "by dividing each by its first value."
            )
        return weighed
    raise TaskError(
        f"{method!r} needs the Jacobian, which a Gramian does not hold; use eq.direction(method, jacobian)."
    )


def refuse_preference(method: Method, preference: Preference | None) -> None:
    """Raises `PreferenceError` unless the method can honour this kind of preference."""
    if preference is not None and not isinstance(preference, method.honours):
        kinds = listed((kind.__name__ for kind in method.honours), quote="`") or "none"
        raise PreferenceError(
            f"{method!r} cannot honour a preference of kind `{type(preference).__name__}`; it honours {kinds}."
        )
