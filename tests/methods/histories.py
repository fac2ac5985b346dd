"""Short runs of a loss method on written-down losses."""

from typing import NamedTuple

import torch

import equipoise as eq
from equipoise.core.tasks import Tasks
from equipoise.methods.base import State, Step
from equipoise.methods.run import run_loss_method
from equipoise.methods.state import restrict

NAMES = ("a", "b", "c", "d", "e", "f", "g", "h")


class Seen(NamedTuple):
    """What a step gives: implied weights, the state after it, slopes of trained state, and the scalar itself."""

    weights: torch.Tensor
    state: State
    trained: State
    criterion: torch.Tensor


def step_of(k: int, present: tuple[int, ...] = ()) -> Step:
    return Step(Tasks(NAMES[:k], present))


def weigh(
    method: eq.methods.LossMethod, losses: list[float], state: State | None = None, present: tuple[int, ...] = ()
) -> Seen:
    """One step. `losses` are those of all tasks; the absent ones' are not shown to the method."""
    k = len(losses)
    step = step_of(k, present)
    shown = torch.tensor([losses[i] for i in step.tasks.present], dtype=torch.float64)
    before = method.init(k) if state is None else state
    weighed = run_loss_method(method, shown, before, step)
    scalar = method.scalar(shown, restrict(method, before, step.tasks.present), step).value.detach()
    return Seen(weighed.weights, weighed.state, weighed.trained, scalar)


def play(
    method: eq.methods.LossMethod,
    history: list[list[float]],
    *,
    presents: list[tuple[int, ...]] | None = None,
    epoch_ends: tuple[int, ...] = (),
) -> list[Seen]:
    """All steps; the epoch ends after the steps numbered in `epoch_ends`."""
    state, found = method.init(len(history[0])), []
    for number, losses in enumerate(history):
        weighed = weigh(method, losses, state, presents[number] if presents else ())
        state = method.end_epoch(weighed.state) if number in epoch_ends else weighed.state
        found.append(weighed._replace(state=state))
    return found


def random_history(steps: int, k: int, seed: int = 0) -> list[list[float]]:
    """Positive losses that fall at different speeds, with noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.3 * torch.rand(steps, k, generator=generator, dtype=torch.float64)
    speeds = torch.linspace(0.01, 0.3, k, dtype=torch.float64)
    trend = torch.exp(-speeds * torch.arange(steps, dtype=torch.float64)[:, None])
    scales = 10.0 ** torch.linspace(-1, 1, k, dtype=torch.float64)
    return ((trend + noise + 0.1) * scales).tolist()


def slopes(method: eq.methods.LossMethod, losses: list[float], state: State, present: tuple[int, ...] = ()):
    """Central differences of the criterion: the weights, the slow way."""
    step = step_of(len(losses), present)
    found = []
    for i in step.tasks.present:
        values = []
        width = 1e-6 * max(abs(losses[i]), 1e-3)
        for sign in (1.0, -1.0):
            moved = list(losses)
            moved[i] += sign * width
            values.append(float(weigh(method, moved, state, present).criterion))
        found.append((values[0] - values[1]) / (2 * width))
    return found
