"""A preference of its own for every row of a batch: each adapted layer adds the rows' terms to its outputs."""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import SettingError, listed
from .mixed_parameters import Factors, LowRank, Offsets, Shares

__all__ = ["RowPreferences", "cannot_mix_rows"]

_CONVOLVE: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.Conv3d: functional.conv3d,
}


def cannot_mix_rows(layers: dict[str, nn.Module]) -> list[str]:
    """Names of the adapted layers that know no preference of each row.

    These are transposed and grouped convolutions, `EmbeddingBag`, and embeddings with ``max_norm``.
    """
    return [name for name, layer in layers.items() if not _knows_rows(layer)]


class RowPreferences:
    r"""Inside its ``with`` block, row i of every adapted layer's input is under preference i.

    With :math:`\lambda_i` the preference of row i, a linear layer returns
    :math:`W x_i + b + \sum_t \lambda_{it} (B_t A_t x_i + b_t)`, which is what it returns at the preference
    :math:`\lambda_i` for that row, without a matrix for each preference.

    Args:
        layers: Layers that are adapted, by name.
        shares: Holder of the present preference.
        rows: (N, k) shares of each row.

    Raises:
        SettingError: A layer that knows no preference of each row; or, in a forward pass, a layer whose input has
            another number of rows.
    """

    def __init__(self, layers: dict[str, nn.Module], shares: Shares, rows: Tensor) -> None:
        refused = cannot_mix_rows(layers)
        if refused:
            raise SettingError(
                f"{listed(refused)} can't have a preference of each row: transposed or grouped convolution, "
                "EmbeddingBag, or Embedding with max_norm. Make one pass for each preference with `prefer`, or leave "
                "these layers out with `layers`."
            )
        self._layers, self._shares = layers, shares
        self._rows = rows.to(shares.weights)
        self._repeated: dict[tuple[int, torch.dtype], Tensor] = {}
        self._hooks: list[Any] = []

    def __enter__(self) -> None:
        self._hooks = [layer.register_forward_hook(partial(self._hook, name)) for name, layer in self._layers.items()]
        self._shares.of_rows = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shares.of_rows = False
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str, layer: nn.Module, inputs: tuple[Any, ...], outputs: Tensor) -> Tensor:
        x = inputs[0]
        if not x.dim() or len(x) != len(self._rows):
            raise SettingError(
                f"there are preferences for {len(self._rows)} rows, and the input of layer '{name}' has shape "
                f"{tuple(x.shape)}. Its first axis must count the rows; else make one pass for each preference with "
                "`prefer`."
            )
        held: Any = layer.parametrizations
        weight = held["weight"][0] if "weight" in held else None
        offsets = held["bias"][0] if "bias" in held else None
        if isinstance(weight, LowRank):
            return self._low_rank(layer, weight, offsets, x, outputs)
        axis = 1 if isinstance(layer, tuple(_CONVOLVE)) else -1
        shares = self._shares_like(outputs)
        if isinstance(weight, Factors):
            factors = shares @ weight.factors
            # the factors scale what the matrix gives, not the bias
            bias: Any = getattr(layer, "bias", None)
            plain = 0 if bias is None else self._wide(bias[None], outputs, axis)
            outputs = outputs + (outputs - plain) * self._wide(factors, outputs, axis)
        return outputs if offsets is None else outputs + self._wide(shares @ offsets.offsets, outputs, axis)

    def _low_rank(self, layer: Any, term: LowRank, offsets: Offsets | None, x: Tensor, outputs: Tensor) -> Tensor:
        inner = term.down.shape[1]
        down, up = term.down.flatten(0, 1), term.up.transpose(0, 1).flatten(1)  # (k r, columns), (rows, k r)
        axis = 1 if isinstance(layer, tuple(_CONVOLVE)) else -1
        if isinstance(layer, nn.Embedding):
            rows = functional.embedding(x, up, layer.padding_idx)
            return outputs + (rows * self._wide(self._repeat(inner, rows), rows, -1)) @ down
        if axis == 1:
            found = layer._conv_forward(x, down.reshape(-1, *layer.weight.shape[1:]), None)
        else:
            found = functional.linear(x, down)
        found = found * self._wide(self._repeat(inner, found), found, axis)
        if offsets is not None:
            # the offsets are one more product of the same kind
            shares = self._wide(self._shares_like(found), found, axis)
            sizes = list(found.shape)
            sizes[axis] = shares.shape[axis]
            found = torch.cat([found, shares.expand(sizes)], dim=axis)
            up = torch.cat([up, offsets.offsets.t()], dim=1)
        if axis == 1:
            return outputs + _CONVOLVE[_kind(layer)](found, up[(...,) + (None,) * (found.dim() - 2)])
        if found.dim() == 2:
            return outputs.addmm_(found, up.t())  # in place: nothing that the layer did needs its outputs again
        return outputs + functional.linear(found, up)

    def _shares_like(self, tensor: Tensor) -> Tensor:
        return self._repeat(1, tensor)

    def _repeat(self, times: int, like: Tensor) -> Tensor:
        """(N, k times) shares, each repeated; converted once for all layers."""
        key = times, like.dtype
        if key not in self._repeated:
            self._repeated[key] = self._rows.to(like).repeat_interleave(times, dim=1)
        return self._repeated[key]

    @staticmethod
    def _wide(rows: Tensor, like: Tensor, axis: int) -> Tensor:
        """(N, c) with axes of length 1 in between, c at `axis` of a tensor."""
        shape = [len(rows)] + [1] * (like.dim() - 1)
        shape[axis] = rows.shape[1]
        return rows.reshape(shape)


def _kind(layer: nn.Module) -> type[nn.Module]:
    return next(kind for kind in _CONVOLVE if isinstance(layer, kind))


def _knows_rows(layer: nn.Module) -> bool:
    if isinstance(layer, tuple(_CONVOLVE)):
        return bool(layer.groups == 1)
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Embedding) and layer.max_norm is None)
