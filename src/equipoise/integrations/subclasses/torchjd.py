"""Methods of ours as modules of torchjd."""

from types import MappingProxyType
from typing import Any

from torch import Tensor
from torchjd import Stateful
from torchjd.aggregation import Aggregator, Weighting
from torchjd.scalarization import Scalarizer

from ...core.tasks import Tasks
from ...errors import SettingError
from ...methods.base import GramianMethod, JacobianMethod, Method, State, Step
from ...methods.run import run_gramian_method, run_loss_method, run_method

__all__ = ["module_of"]


class _Ours(Stateful):  # type: ignore[misc]
    """What the three kinds share: a method and its memory, for as many tasks as the first call had."""

    method: Any
    _tasks: Tasks | None = None
    _state: State = MappingProxyType({})

    def reset(self) -> None:
        """Forget earlier steps, and the number of tasks."""
        self._tasks, self._state = None, {}

    def end_epoch(self) -> None:
        """End an epoch of a method that moves per epoch."""
        self._state = self.method.end_epoch(self._state)

    def _step(self, k: int, n: int = 0) -> Step:
        if self._tasks is None:
            self._tasks, self._state = Tasks(tuple(f"task{i}" for i in range(k))), self.method.init(k, n)
        if len(self._tasks.names) != k:
            raise SettingError(
                f"{self.method!r} was first called with {len(self._tasks.names)} tasks, and now with {k}: call reset() "
                "to begin anew, or use one module for each set of tasks."
            )
        return Step(self._tasks)

    def _kept(self, state: State) -> None:
        self._state = {name: tensor.detach() for name, tensor in state.items()}

    def get_extra_state(self) -> dict[str, Any]:
        """Number of tasks and memory, for ``state_dict``."""
        return {"tasks": 0 if self._tasks is None else len(self._tasks.names), "state": dict(self._state)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_extra_state` gave."""
        self.reset()
        if state["tasks"]:
            self._tasks, self._state = Tasks(tuple(f"task{i}" for i in range(state["tasks"]))), dict(state["state"])

    def __repr__(self) -> str:
        return f"to_torchjd({self.method!r})"


class _Weighting(_Ours, Weighting):  # type: ignore[misc]
    def __init__(self, method: GramianMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, gramian: Tensor, /) -> Tensor:
        step = self._step(len(gramian))
        found = run_gramian_method(self.method, gramian.detach().double(), self._state, step)
        self._kept(found.state)
        return found.weights.to(gramian)


class _Aggregator(_Ours, Aggregator):  # type: ignore[misc]
    def __init__(self, method: JacobianMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, matrix: Tensor, /) -> Tensor:
        step = self._step(*matrix.shape)
        found = run_method(self.method, matrix.detach().double(), self._state, step)
        self._kept(found.state)
        return found.direction.to(matrix)


class _Scalarizer(_Ours, Scalarizer):  # type: ignore[misc]
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, values: Tensor, /) -> Tensor:
        """The weighted sum whose gradient is the method's."""
        flat = values.ravel()
        step = self._step(len(flat))
        found = run_loss_method(self.method, flat, self._state, step)
        self._kept(found.state)
        return found.weights.to(flat) @ flat


def module_of(method: Method) -> Any:
    """The module of a method; see `to_torchjd`."""
    if isinstance(method, GramianMethod):
        return _Weighting(method)
    return _Aggregator(method) if isinstance(method, JacobianMethod) else _Scalarizer(method)
