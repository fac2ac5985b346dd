"""One model for all preferences: a shared network whose layers are mixed per preference."""

import copy
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...core.numbers import is_whole
from ...core.tasks import PerTask, Preference, Tasks
from ...errors import PreferenceError, SettingError, StateError, listed
from ...methods.averaging.batch_norm import reestimate_statistics
from .mixed_parameters import Factors, LowRank, Offsets, Shares
from .preference_weights import preference_weights, refuse_off_simplex
from .row_preferences import RowPreferences

__all__ = ["Conditioned", "Form"]

Form = Literal["adapters", "film", "input"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_KINDS = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED, *_EMBEDDINGS)


class Conditioned(nn.Module):
    r"""A model whose parameters depend on a preference over its tasks, attached to any module by parametrization.

    With :math:`\lambda` the preference (shares of the k tasks, sum 1), each adapted layer with matrix W and bias b has

    ============== ========================================= ========================================================
    form           parameters of a layer                     where
    ============== ========================================= ========================================================
    ``adapters``   :math:`W + \sum_t \lambda_t B_t A_t,      all layers: k r (inputs + outputs) more parameters each
                   \; b + \sum_t \lambda_t b_t`
    ``film``       :math:`(1 + \sum_t \lambda_t g_t) W,      all layers: a factor and an offset for each output, which
                   \; b + \sum_t \lambda_t b_t`              is what FiLM does to a layer's outputs
    ``input``      :math:`b + \sum_t \lambda_t b_t`          first layer: the same as appending the preference to its
                                                             inputs
    ============== ========================================= ========================================================

    All added parameters but A start at 0, so at first the model is the plain one at every preference; at a corner of
    the simplex only that task's terms count. Layers are `Linear`, convolutions and embeddings (without
    ``sparse=True``); other parameters are shared by all preferences.

    The model is changed in place and belongs to this object from then on; its parameters stay the same objects. A
    forward pass uses the preference at that moment, and so does its backward pass; with activation checkpointing call
    `backward` before another `prefer`.

    Args:
        model: Module to condition, initialised (no lazy layers).
        tasks: Task names, at least two.
        rank: Rank r of each adapter; for ``adapters`` only.
        form: Way in which a preference acts on a layer.
        layers: Prefixes of the names of the layers to adapt; None for all.

    Raises:
        SettingError: A rank or form out of range, a model without a layer to adapt, a prefix that fits none, a layer
            that is parametrized already. The model is then unchanged.
        TaskError: Doubled names.

    Cost:
        A forward pass computes each adapted matrix once: k r products per entry. Nothing else depends on the batch.

    Source:
        Dimitriadis et al. (2025), arXiv:2407.08056, and Chen & Kwok (2024), arXiv:2407.20734, for adapters;
        Dosovitskiy & Djolonga (2020) for FiLM; Ruchte & Grabocka (2021), arXiv:2103.13392, for the input. We differ:
        biases have offsets; FiLM is linear in the preference.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model = Conditioned(net, ["a", "b"], rank=2)
        >>> with model.prefer({"a": 0.3, "b": 0.7}):
        ...     outputs = model(torch.ones(4, 3))
        >>> plain = model.at({"a": 0.3, "b": 0.7})
        >>> torch.equal(plain(torch.ones(4, 3)), outputs), model.preference
        (True, {'a': 0.5, 'b': 0.5})
    """

    def __init__(
        self,
        model: nn.Module,
        tasks: Sequence[str],
        *,
        rank: int = 8,
        form: Form = "adapters",
        layers: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.tasks = Tasks(tuple(tasks)).names
        if len(self.tasks) < 2:
            raise SettingError(f"a preference needs at least two tasks; got {listed(self.tasks)}.")
        if form not in get_args(Form) or not is_whole(rank, least=1):
            raise SettingError(
                f"`form` must be one of {listed(get_args(Form))} and `rank` a whole number of at least 1; got "
                f"form={form!r}, rank={rank!r}."
            )
        chosen = _chosen(model, form, layers)
        self.form, self.rank = form, rank
        self.plain_parameters = sum(parameter.numel() for parameter in model.parameters())
        self.adapted = tuple(chosen)
        self.shares = Shares(len(self.tasks))
        for layer in chosen.values():
            _adapt(layer, self.shares, form, rank)
        self.model = model
        first = next(model.parameters())
        self.shares.to(first.device)
        names = torch.tensor(list(json.dumps(self.tasks).encode()), dtype=torch.uint8, device=first.device)
        self.register_buffer("task_names", names)

    @property
    def preference(self) -> dict[str, float]:
        """Present shares by task name; equal ones at the start."""
        return dict(zip(self.tasks, self.shares.weights.tolist(), strict=True))

    @property
    def added_parameters(self) -> int:
        """Number of parameters that the conditioning added."""
        return sum(parameter.numel() for parameter in self.model.parameters()) - self.plain_parameters

    def prefer(self, preference: PerTask | Preference) -> "_Back":
        """Set the preference, for good or inside a ``with`` block.

        Args:
            preference: Shares of sum 1, by task name or in task order; or `LinearScalarization` or `Tchebycheff` with
                such weights.

        Raises:
            PreferenceError: Another kind, another length, a negative number, or a sum other than 1.
            TaskError: Names that are not those of the tasks.
        """
        weights = preference_weights(preference, self.tasks)
        before = self.shares.weights
        # another tensor: graphs of earlier passes keep theirs
        self.shares.weights = weights.to(before)
        return _Back(self.shares, before)

    def prefer_rows(self, preferences: Tensor) -> RowPreferences:
        """Give every row of a batch its own preference, in one forward pass inside a ``with`` block.

        The outputs are those of one pass for each preference, to rounding, where rows do not meet (batch normalisation
        in training lets them meet) and where every adapted layer is called with one entry a row.

        Args:
            preferences: (N, k) shares of sum 1, one row for each of the batch.

        Raises:
            PreferenceError: Another shape, a negative number, or a sum other than 1.
            SettingError: A layer that can't: a transposed or grouped convolution, `EmbeddingBag`, an embedding with
                ``max_norm``; or, in the forward pass, a layer whose input has another number of rows.

        Example:
            >>> model = Conditioned(nn.Linear(3, 2), ["a", "b"], rank=1)
            >>> with model.prefer_rows(torch.tensor([[0.3, 0.7], [1.0, 0.0]])):
            ...     outputs = model(torch.ones(2, 3))
            >>> outputs.shape
            torch.Size([2, 2])
        """
        rows = preferences.detach().double()
        if rows.dim() != 2 or rows.shape[1] != len(self.tasks):
            raise PreferenceError(
                f"`preferences` must have shape (N, {len(self.tasks)}), one row of shares for each row of the batch; "
                f"got {tuple(rows.shape)}."
            )
        refuse_off_simplex(rows.cpu().numpy())
        layers = {name: self.model.get_submodule(name) for name in self.adapted}
        return RowPreferences(layers, self.shares, rows)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The model's outputs at the present preference."""
        return self.model(*inputs, **named)

    def at(
        self,
        preference: PerTask | Preference,
        loader: Iterable[Any] | None = None,
        forward: Callable[[nn.Module, Any], object] | None = None,
    ) -> nn.Module:
        """A plain copy of the model at one preference, without adapters: the same outputs to the bit.

        Args:
            preference: Shares of the tasks, as for `prefer`.
            loader: Training batches, on which running statistics of batch normalisation are measured anew: those of the
                training are a mean over all preferences. None leaves them as they are.
            forward: Call on a batch, ``forward(model, batch)``; ``model(batch)`` or ``model(batch[0])`` if None.
        """
        with self.prefer(preference):
            plain = copy.deepcopy(self.model)
        for name in self.adapted:
            _freeze(plain.get_submodule(name))
        if loader is not None:
            reestimate_statistics(plain, loader, forward)
        return plain

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        found = state_dict.get(f"{prefix}task_names")
        if found is not None:
            names = tuple(json.loads(bytes(found.tolist())))
            if names != self.tasks:
                raise StateError(f"the state is of the tasks {listed(names)}; this model has {listed(self.tasks)}.")
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        """Tasks and form, as `print` shows them."""
        rank = f", rank={self.rank}" if self.form == "adapters" else ""
        return f"tasks={list(self.tasks)}, form={self.form!r}{rank}, added_parameters={self.added_parameters}"


class _Back:
    """Puts the earlier preference back at the end of a ``with`` block."""

    def __init__(self, shares: Shares, before: Tensor) -> None:
        self._shares, self._before = shares, before

    def __enter__(self) -> None:
        return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shares.weights = self._before.to(self._shares.weights)


def _chosen(model: nn.Module, form: Form, prefixes: Sequence[str] | None) -> dict[str, nn.Module]:
    """The layers to adapt, by name; everything that speaks against them is said before any is touched."""
    known: dict[str, nn.Module] = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _KINDS) and not getattr(module, "sparse", False)
    }
    if isinstance(prefixes, str):
        raise SettingError(f"`layers` must be a sequence of prefixes; write layers=[{prefixes!r}].")
    wanted = known
    if prefixes is not None:
        unused = [prefix for prefix in prefixes if not any(_below(name, prefix) for name in known)]
        if unused or not prefixes:
            raise SettingError(
                f"`layers` must name layers that can be adapted; {listed(unused) or 'an empty list'} fits none of "
                f"{listed(known) or 'none'}."
            )
        wanted = {name: layer for name, layer in known.items() if any(_below(name, prefix) for prefix in prefixes)}
    if not wanted:
        kinds = sorted({type(module).__name__ for module in model.modules()})
        raise SettingError(
            "the model has no layer to adapt: Linear, Conv1d to Conv3d, ConvTranspose1d to 3d, Embedding or "
            f"EmbeddingBag with dense gradients. It consists of {listed(kinds)}."
        )
    if form == "input":
        name, layer = next(iter(wanted.items()))
        wanted = {name: layer}
        if getattr(layer, "bias", None) is None:
            raise SettingError(
                f"form='input' acts through the bias of the first layer, and '{name}' ({type(layer).__name__}) has "
                "none. Name another in `layers`, or use form='film'."
            )
    lazy = [name for name, layer in wanted.items() if isinstance(layer.weight, nn.UninitializedParameter)]
    taken = [name for name, layer in wanted.items() if parametrize.is_parametrized(layer)]
    if lazy or taken:
        raise SettingError(
            f"layers must be initialised and plain; lazy: {listed(lazy) or 'none'} (run one batch first); parametrized "
            f"already: {listed(taken) or 'none'} (remove it, or leave them out with `layers`)."
        )
    return wanted


def _below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _adapt(layer: nn.Module, shares: Shares, form: Form, rank: int) -> None:
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, Tensor)
    if form == "adapters":
        # an embedding counts its rows as outputs: the row of padding then stays 0
        outputs = 1 if isinstance(layer, _TRANSPOSED) else 0
        parametrize.register_parametrization(layer, "weight", LowRank(shares, weight, rank, outputs))
    elif form == "film":
        outputs = 1 if isinstance(layer, _TRANSPOSED + _EMBEDDINGS) else 0
        parametrize.register_parametrization(layer, "weight", Factors(shares, weight, outputs))
    if isinstance(bias, Tensor):
        parametrize.register_parametrization(layer, "bias", Offsets(shares, bias))


def _freeze(layer: nn.Module) -> None:
    """Make a copied layer plain, with its parameters as they are under the preference that was copied with it.

    `remove_parametrizations` would delete the properties of the class, which the copy shares with the layer it was
    copied from.
    """
    held = layer.parametrizations
    assert isinstance(held, nn.ModuleDict)
    values = {
        name: nn.Parameter(getattr(layer, name).detach().clone(), requires_grad=bool(part.original.requires_grad))
        for name, part in held.items()
    }
    layer.__class__ = type(layer).__bases__[0]
    del layer.parametrizations
    for name, value in values.items():
        layer.register_parameter(name, value)
