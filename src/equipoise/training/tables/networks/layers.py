"""Layers of a tabular network, for several independent copies ("members") of it at once.

Every parameter has the members as its first axis, so one batched product trains them all: small networks cost hardly
more than one.
"""

import math
from collections.abc import Sequence

import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from torch import Tensor, nn

__all__ = ["Blend", "MemberLinear", "MemberScale", "PeriodicFeatures", "PiecewiseFeatures", "decayed", "rate"]

_FREQUENCIES, _PERIODIC = 16, 3
_FREQUENCY_SCALE = 0.1
_PIECEWISE = 4
_SLOW, _FAST = 0.1, 6.0


def rate(parameter: nn.Parameter) -> float:
    """Factor on the learning rate of a parameter; what comes from elsewhere has 1."""
    return float(getattr(parameter, "equipoise_rate", 1.0))


def decayed(parameter: nn.Parameter) -> bool:
    """Whether weight decay applies to a parameter."""
    return bool(getattr(parameter, "equipoise_decayed", True))


def _parameter(values: Tensor, rate: float, *, decays: bool = True) -> nn.Parameter:
    return _rated(nn.Parameter(values), rate, decays=decays)


def _rated(parameter: nn.Parameter, rate: float, *, decays: bool = True) -> nn.Parameter:
    vars(parameter).update(equipoise_rate=rate, equipoise_decayed=decays)
    return parameter


def _uniform(*shape: int) -> Tensor:
    return 2 * torch.rand(shape) - 1


class MemberScale(nn.Module):
    """y = s * x with a learned factor for each input: (members, rows, d) -> the same."""

    def __init__(self, members: int, inputs: int) -> None:
        super().__init__()
        self.factor = _parameter(torch.ones(members, 1, inputs), _FAST)

    def forward(self, x: Tensor) -> Tensor:
        """Scale each input."""
        return x * self.factor


class MemberLinear(nn.Module):
    """y = x W / sqrt(d) + b (the NTK parametrization): (members, rows, d) -> (members, rows, outputs).

    Args:
        members: Number of copies.
        inputs: Number of inputs, d.
        outputs: Columns of the result.
        zero: Whether W begins at zero, as in the last layer of a network; else its entries are standard normal.
    """

    def __init__(self, members: int, inputs: int, outputs: int, *, zero: bool = False) -> None:
        super().__init__()
        shape = members, inputs, outputs
        self.weight = nn.Parameter(torch.zeros(shape) if zero else torch.randn(shape))
        self.bias = _parameter(torch.zeros(members, 1, outputs), _SLOW, decays=False)
        self._factor = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """One batched product."""
        return torch.baddbmm(self.bias, x, self.weight, alpha=self._factor)


class Blend(nn.Module):
    """x + a (f(x) - x): an activation, blended with the identity by a learned a for each unit, 1 at the start."""

    def __init__(self, members: int, units: int, activation: nn.Module) -> None:
        super().__init__()
        self.share = _parameter(torch.ones(members, 1, units), _SLOW)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Blend."""
        return torch.lerp(x, self.activation(x), self.share)


class PeriodicFeatures(nn.Module):
    """Per number 3 features, linear in 16 cosines of learned frequencies: (rows, d) -> (members, rows, 3 d).

    c_f = cos(2 pi w_f x + b_f), w_f normal with standard deviation .1, b_f uniform (PBLD of Holzmüller et al. 2024,
    arXiv:2407.04491, after Gorishniy et al. 2022).
    """

    def __init__(self, members: int, inputs: int) -> None:
        super().__init__()
        waves, bound = (members, 1, inputs, _FREQUENCIES), 1 / math.sqrt(_FREQUENCIES)
        self.frequency = _parameter(2 * math.pi * _FREQUENCY_SCALE * torch.randn(waves), _SLOW)
        self.phase = _parameter(math.pi * _uniform(*waves), _SLOW)
        self.weight = _parameter(bound * _uniform(members, inputs, _FREQUENCIES, _PERIODIC), _SLOW)
        self.bias = _parameter(bound * _uniform(members, 1, inputs, _PERIODIC), _SLOW, decays=False)
        self.width = inputs * _PERIODIC

    def forward(self, x: Tensor) -> Tensor:
        """Cosines, then one small product for each input."""
        waves = torch.cos(torch.addcmul(self.phase, self.frequency, x[None, :, :, None]))
        features = torch.einsum("srdf,sdfo->srdo", waves, self.weight) + self.bias
        return features.flatten(2)


class PiecewiseFeatures(nn.Module):
    """Per number 4 features, linear between given edges: (rows, d) -> (members, rows, 4 d).

    Version B of Gorishniy et al. (2022) from the authors' package: one embedding that is as wide as all members
    together. Without columns there are no features.

    Args:
        members: Number of copies.
        edges: Rising edges of each column, three or more.
    """

    def __init__(self, members: int, edges: Sequence[Sequence[float]]) -> None:
        super().__init__()
        bins = [torch.tensor(column, dtype=torch.float32) for column in edges]
        self.embedding = PiecewiseLinearEmbeddings(bins, _PIECEWISE * members, activation=False, version="B")
        self.members, self.width = members, len(bins) * _PIECEWISE
        for parameter in self.embedding.parameters():
            _rated(parameter, _SLOW)

    def forward(self, x: Tensor) -> Tensor:
        """Embed, and hand each member its part."""
        embedded: Tensor = self.embedding(x)
        rows, columns, width = embedded.shape
        apart = embedded.view(rows, columns, self.members, width // self.members)
        return apart.permute(2, 0, 1, 3).flatten(2)
