"""Copies of a model's earlier parameters, of which a credit-weighted mean is the answer."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ...core.numbers import is_whole
from ...errors import LossError, NonFiniteError, SettingError, StateError, TaskError, listed
from .batch_norm import keeps_modes, layers_with_statistics, reestimate_statistics
from .kept_entries import Entry, copied, mixed, tensors_of

__all__ = ["Dominance", "KeptIterates", "Losses", "Rule"]

Rule = Literal["ada", "mean", "sample", "count"]
Dominance = Literal["batch", "evaluation"]
Losses = Mapping[str, Any] | Sequence[Any] | Tensor
_ANSWER = 2**63  # no merge has this number
_PREFIX = "value."


class KeptIterates:
    r"""Iterates of a training run, with credits (algorithm of AdaOMD's conversion).

    Each iterate comes with its losses F, (k,), and one unit of credit:

    * if kept iterates are at least as good as it in every task, its credit is split evenly among them and it is
      dropped;
    * otherwise it is kept, and takes the credit of every kept iterate that it is at least as good as in every task.

    So at any time the credits sum to the number T of iterates, no kept iterate dominates another, and
    :math:`\sum_j \gamma_j F_j \le \sum_t F_t` in every task. The answer is :math:`\sum_j \gamma_j \theta_j / T`; with
    convex losses it is at most as bad as the bound of the plain mean. For networks averaging parameters is a
    heuristic; ``rule="sample"`` draws one iterate with probability :math:`\gamma_j / T`, and the same guarantee then
    holds in expectation without convexity.

    Past `cap` entries the two of least credit become one: their credit-weighted parameters and losses (for ``"sample"``
    one of the two, drawn by credit, with the credit of both). All three invariants stay
    true of the entries, the third of ``"sample"`` in expectation.

    Args:
        rule: ``"ada"``; ``"mean"`` (every iterate counts one: one running mean); ``"sample"``; ``"count"`` (a dropped
            iterate counts fully for each that dominates it: credits exceed T, and the guarantee is lost).
        cap: Most entries, at least 1; each holds a copy of the model.
        every: Interval between kept iterates, in calls of `keep`.
        dominance: ``"batch"``: the losses given to `keep`, which carry mini-batch noise; ``"evaluation"``: those
            that `evaluate` returns, the same data for every iterate, as the guarantee asks.
        device: Device of the copies; None for the parameters' own device, ``"cpu"`` to spare the accelerator.
        evaluate: ``evaluate(model) -> losses``, called without gradients; modes are put back afterwards.
        seed: Seed of the draw of ``"sample"``.

    Cost:
        O(m k) for m entries, and one copy of the model whenever an iterate is kept; half-precision parameters are
        kept in float32.

    Source:
        Liu et al. (2024), arXiv:2410.21764, algorithm 2. The cap and the rule ``"sample"`` are ours.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> kept = KeptIterates("mean")
        >>> for value in (1.0, 2.0, 6.0):
        ...     nn.init.constant_(model.weight, value)
        ...     kept.keep(model, {"a": value})
        Parameter containing:
        tensor([[1.]], requires_grad=True)
        Parameter containing:
        tensor([[2.]], requires_grad=True)
        Parameter containing:
        tensor([[6.]], requires_grad=True)
        >>> kept.finalize(model)
        >>> model.weight.item()
        3.0
    """

    def __init__(
        self,
        rule: Rule = "ada",
        *,
        cap: int = 32,
        every: int = 1,
        dominance: Dominance = "batch",
        device: str | None = None,
        evaluate: Callable[[nn.Module], Losses] | None = None,
        seed: int = 0,
    ) -> None:
        check_settings(rule, cap, every, dominance)
        if dominance == "evaluation" and evaluate is None:
            raise SettingError("`dominance='evaluation'` needs `evaluate`, a function from the model to its losses.")
        self.rule, self.cap, self.every, self.dominance = rule, cap, every, dominance
        self.device, self.evaluate, self.seed = device, evaluate, seed
        self.calls = self.iterates = self._draws = 0
        self.names: tuple[str, ...] = ()
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def credits(self) -> Tensor:
        """(m,) credits of the entries, float64."""
        return torch.tensor([entry.credit for entry in self._entries], dtype=torch.float64)

    @property
    def losses(self) -> Tensor:
        """(m, k) losses of the entries, float64."""
        return torch.stack([entry.losses for entry in self._entries]) if self._entries else torch.zeros(0, 0).double()

    def keep(self, model: nn.Module, losses: Losses | None = None) -> None:
        """Offers the model's present parameters, with the losses AT these parameters: call it before the optimizer.

        Args:
            model: Model whose state dict is copied, buffers included.
            losses: One scalar a task, all tasks; by name or in order, the same way every time. Not needed with
                ``dominance="evaluation"``.

        Raises:
            LossError: Not one number a task, or none given.
            TaskError: Other tasks than before.
            NonFiniteError: NaN or inf.
        """
        self.calls += 1
        if (self.calls - 1) % self.every:
            return
        if self.evaluate is not None and self.dominance == "evaluation":
            with torch.no_grad(), keeps_modes(model):
                losses = self.evaluate(model)
        found = self._read(losses)
        self.iterates += 1
        if self.rule == "mean" and self._entries:
            self._entries = [mixed(self._entries[0], Entry(found, copied(model, self.device), 1.0))]
            return
        self._insert(found, 1.0, lambda: copied(model, self.device))
        while len(self._entries) > self.cap:
            least = sorted(range(len(self._entries)), key=lambda j: self._entries[j].credit)[:2]
            first, second = (self._entries[j] for j in sorted(least))
            self._entries = [entry for j, entry in enumerate(self._entries) if j not in least]
            merged = self._one_of(first, second) if self.rule == "sample" else mixed(first, second)
            self._insert(merged.losses, merged.credit, lambda merged=merged: merged.values)  # type: ignore[misc]

    def answer(self) -> dict[str, Tensor]:
        """The state dict that `finalize` writes: a mean of the kept ones, or the drawn one.

        Raises:
            StateError: Nothing was kept.
        """
        if not self._entries:
            raise StateError("nothing was kept: call keep(model, losses) before each optimizer step.")
        if self.rule == "sample":
            shares = (self.credits / self.credits.sum()).numpy()
            drawn = np.random.default_rng([self.seed, _ANSWER]).choice(len(shares), p=shares / shares.sum())
            return dict(self._entries[int(drawn)].values)
        total = self._entries[0]
        for entry in self._entries[1:]:
            total = mixed(total, entry)
        return dict(total.values)

    def finalize(
        self,
        model: nn.Module,
        loader: Iterable[Any] | None = None,
        forward: Callable[[nn.Module, Any], object] | None = None,
    ) -> None:
        """Writes the answer into the model and measures its normalisation statistics anew.

        Args:
            model: Model to be changed in place.
            loader: Training batches; required where the model has batch normalisation and the answer is a mean.
            forward: ``forward(model, batch)``; by default ``model(batch)`` or ``model(batch[0])``.

        Raises:
            StateError: Nothing was kept, or the model has other parameters; it is then unchanged.
            SettingError: A loader is required.
            DataError: The loader is empty.
        """
        answer, present = self.answer(), tensors_of(model)
        differing = [
            name
            for name in sorted(answer.keys() | present.keys())
            if name not in answer or name not in present or answer[name].shape != present[name].shape
        ]
        if differing:
            raise StateError(
                f"the model must have the parameters that were kept; {listed(differing[:5])} differ in name or shape."
            )
        layers = layers_with_statistics(model)
        if layers and loader is None and self.rule != "sample":
            raise SettingError(
                f"the running statistics of {listed(layers)} belong to no averaged parameters: give "
                "finalize(model, loader=...) with training batches, or use rule='sample'."
            )
        with torch.no_grad():
            for name, value in present.items():
                value.copy_(answer[name])
        if loader is not None:
            reestimate_statistics(model, loader, forward)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything, as tensors: entries stacked along the first axis."""
        names = torch.tensor(list(json.dumps(self.names).encode()), dtype=torch.uint8)
        counts = torch.tensor([self.calls, self.iterates, self._draws], dtype=torch.int64)
        values = {
            _PREFIX + name: torch.stack([entry.values[name] for entry in self._entries])
            for name in (self._entries[0].values if self._entries else ())
        }
        return {"names": names, "counts": counts, "credits": self.credits, "losses": self.losses, **values}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what `state_dict` returned; the settings are those of this object.

        Raises:
            StateError: Keys are missing.
        """
        missing = {"names", "counts", "credits", "losses"} - state.keys()
        if missing:
            raise StateError(f"a state of kept iterates must hold {listed(sorted(missing))}; it holds {listed(state)}.")
        self.names = tuple(json.loads(bytes(state["names"].tolist())))
        self.calls, self.iterates, self._draws = (int(count) for count in state["counts"])
        stacked = {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}
        self._entries = [
            Entry(
                state["losses"][j].clone(),
                {name: value[j].to(self.device or value.device, copy=True) for name, value in stacked.items()},
                float(credit),
            )
            for j, credit in enumerate(state["credits"])
        ]

    def _insert(self, losses: Tensor, credit: float, values: Callable[[], dict[str, Tensor]]) -> None:
        """Adds an entry or gives its credit to those that dominate it."""
        known = self.losses
        better = torch.nonzero((losses >= known).all(1)).ravel().tolist() if len(known) else []
        if better:
            part = credit if self.rule == "count" else credit / len(better)
            for j in better:
                entry = self._entries[j]
                self._entries[j] = Entry(entry.losses, entry.values, entry.credit + part)
            return
        worse = set(torch.nonzero((losses <= known).all(1)).ravel().tolist()) if len(known) else set()
        credit += sum(self._entries[j].credit for j in worse)
        kept = [entry for j, entry in enumerate(self._entries) if j not in worse]
        self._entries = [*kept, Entry(losses, values(), credit)]

    def _one_of(self, first: Entry, second: Entry) -> Entry:
        total = first.credit + second.credit
        drawn = np.random.default_rng([self.seed, self._draws]).random()
        self._draws += 1
        chosen = first if drawn * total < first.credit else second
        return Entry(chosen.losses, chosen.values, total)

    def _read(self, losses: Losses | None) -> Tensor:
        if losses is None:
            raise LossError("keep(model, losses) needs the losses at the model's present parameters, one a task.")
        names = tuple(losses) if isinstance(losses, Mapping) else ()
        entries = list(losses.values()) if isinstance(losses, Mapping) else list(losses)
        try:
            numbers = [float(entry.detach() if isinstance(entry, Tensor) else entry) for entry in entries]
            found = torch.tensor(numbers, dtype=torch.float64)
        except (TypeError, ValueError, RuntimeError) as error:
            raise LossError(f"losses must be one number a task; got {losses!r}.") from error
        if not len(found):
            raise LossError("losses must hold at least one task.")
        if self.iterates and (names != self.names or (self._entries and len(found) != self.losses.shape[1])):
            before = listed(self.names) or f"{self.losses.shape[1]} numbers in order"
            raise TaskError(f"losses must be of the same tasks in the same order as before ({before}); got {losses!r}.")
        self.names = names
        if not torch.isfinite(found).all():
            raise NonFiniteError(f"losses must be finite to be compared; got {losses!r}.")
        return found


def check_settings(rule: str, cap: int, every: int, dominance: str) -> None:
    """Raises `SettingError` naming every setting outside its range."""
    wrong = [
        *([f"rule={rule!r} (one of {listed(get_args(Rule))})"] if rule not in get_args(Rule) else []),
        *([f"cap={cap!r} (a whole number, at least 1)"] if not is_whole(cap, least=1) else []),
        *([f"every={every!r} (a whole number, at least 1)"] if not is_whole(every, least=1) else []),
        *([f"dominance={dominance!r} (one of {listed(get_args(Dominance))})"] * (dominance not in get_args(Dominance))),
    ]
    if wrong:
        raise SettingError(f"settings of Averaged are out of range: {'; '.join(wrong)}.")
