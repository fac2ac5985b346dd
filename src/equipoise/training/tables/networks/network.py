"""The networks of `fit_table`: a shared trunk with one head a task, a trunk for each task, and the linear one.

The trunk is that of RealMLP (Holzmüller, Grinsztajn, Steinwart 2024, arXiv:2407.04491) with piecewise-linear features
(Gorishniy, Rubachev, Babenko 2022, arXiv:2203.05556) for columns of few values; see `layers`.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .layers import Blend, MemberLinear, MemberScale, PeriodicFeatures, PiecewiseFeatures

__all__ = ["LinearNetwork", "TableNetwork", "task_loss"]

_ACTIVATIONS = {"mish": nn.Mish, "selu": nn.SELU}


class _Headed(nn.Module):
    """Features -> outputs of every task.

    Args:
        outputs: Task -> number of outputs: 1 for a number or for the logit of two classes, else one a class.
        kinds: Task -> ``regression``, ``binary`` or ``classes``.
        members: Networks whose predictions are averaged.
        width: Width of the features.
    """

    def __init__(self, outputs: Mapping[str, int], kinds: Mapping[str, str], members: int, width: int) -> None:
        super().__init__()
        self.tasks, self.kinds = tuple(outputs), dict(kinds)
        self.heads = nn.ModuleList(MemberLinear(members, width, size, zero=True) for size in outputs.values())

    def _outputs(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        found = {}
        for task, head, own in zip(self.tasks, self.heads, features, strict=True):
            output = head(own)
            found[task] = (output if self.training else joined(output, self.kinds[task])).transpose(0, 1)
        return found


class TableNetwork(_Headed):
    """Inputs -> outputs of each task: (rows, p) -> {task: (rows, members, outputs)}, in evaluation mode of one member.

    The first `numbers` columns of the inputs are numbers of about unit size, the others 0/1. All members see the same
    rows and differ in their initial values; in evaluation mode their predictions are joined (`joined`).

    Args:
        outputs: Task -> number of outputs: 1 for a number or for the logit of two classes, else one a class.
        kinds: Task -> ``regression``, ``binary`` or ``classes``.
        inputs: Number of inputs, p.
        numbers: Number of columns that hold numbers.
        edges: Column of numbers -> edges of its piecewise-linear features.
        hidden: Widths of the trunk's layers.
        members: Independent networks whose predictions are averaged.
        separate: Whether each task has a trunk of its own.
        activation: ``mish`` or ``selu``.
        dropout: Share of the units that a training step leaves out.

    Example:
        >>> outputs, kinds = {"price": 1, "type": 3}, {"price": "regression", "type": "classes"}
        >>> network = TableNetwork(
        ...     outputs, kinds, inputs=5, numbers=4, edges={0: [0.0, 0.5, 1.0]}, hidden=(8, 8), members=2
        ... )
        >>> {task: tuple(output.shape) for task, output in network(torch.zeros(7, 5)).items()}
        {'price': (7, 2, 1), 'type': (7, 2, 3)}
        >>> {task: tuple(output.shape) for task, output in network.eval()(torch.zeros(7, 5)).items()}
        {'price': (7, 1, 1), 'type': (7, 1, 3)}
    """

    places: Tensor

    def __init__(
        self,
        outputs: Mapping[str, int],
        kinds: Mapping[str, str],
        *,
        inputs: int,
        numbers: int,
        edges: Mapping[int, Sequence[float]],
        hidden: Sequence[int] = (128, 128, 128),
        members: int = 1,
        separate: bool = False,
        activation: str = "mish",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(outputs, kinds, members, hidden[-1])
        copies = members * (len(outputs) if separate else 1)
        self.separate, self.numbers = separate, numbers
        self.periodic = PeriodicFeatures(copies, numbers) if numbers else None
        self.register_buffer("places", torch.tensor(sorted(edges), dtype=torch.long), persistent=False)
        self.piecewise = PiecewiseFeatures(copies, [edges[place] for place in sorted(edges)]) if edges else None
        width = inputs + sum(part.width for part in (self.periodic, self.piecewise) if part is not None)
        self.scale = MemberScale(copies, width)
        layers: list[nn.Module] = []
        for units in hidden:
            layers += [MemberLinear(copies, width, units), Blend(copies, units, _ACTIVATIONS[activation]())]
            layers += [nn.Dropout(dropout)] if dropout else []
            width = units
        self.trunk = nn.Sequential(*layers)

    def embedded(self, x: Tensor) -> Tensor:
        """What the trunk is given, (copies, rows, width): the inputs beside their features, each scaled."""
        copies = self.scale.factor.shape[0]
        parts = [x.expand(copies, -1, -1)]
        if self.periodic is not None:
            parts.append(self.periodic(x[:, : self.numbers]))
        if self.piecewise is not None:
            parts.append(self.piecewise(x[:, self.places]))
        scaled: Tensor = self.scale(torch.cat(parts, dim=2))
        return scaled

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """One pass through the trunk, then the heads."""
        features = self.trunk(self.embedded(x))
        return self._outputs(features.chunk(len(self.tasks)) if self.separate else [features] * len(self.tasks))

    def merged(self, states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Of separate trunks, the state that has each task's part from a state of its own.

        Args:
            states: Task -> state dict, for every task.
        """
        merged = {name: value.clone() for name, value in states[self.tasks[0]].items()}
        for place, task in enumerate(self.tasks):
            for name, value in merged.items():
                axis = _member_axis(name)
                if name.startswith(f"heads.{place}."):
                    merged[name] = states[task][name].clone()
                elif axis is not None:
                    value.chunk(len(self.tasks), dim=axis)[place].copy_(
                        states[task][name].chunk(len(self.tasks), dim=axis)[place]
                    )
        return merged


def _member_axis(name: str) -> int | None:
    """The axis of a trunk's parameter along which members lie; None for what they share."""
    if name.startswith("piecewise.embedding.linear"):
        return -1
    return None if name.startswith(("heads.", "piecewise.")) else 0


class LinearNetwork(_Headed):
    """A linear model with a shared layer of width q: y_t = (x W) h_t + b_t, shapes as in `TableNetwork`.

    Args:
        outputs: Task -> number of outputs.
        kinds: Task -> ``regression``, ``binary`` or ``classes``.
        inputs: Number of inputs, p.
        width: Width of the shared layer, q.
    """

    def __init__(self, outputs: Mapping[str, int], kinds: Mapping[str, str], *, inputs: int, width: int) -> None:
        super().__init__(outputs, kinds, 1, width)
        self.shared = MemberLinear(1, inputs, width)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Two products."""
        return self._outputs([self.shared(x[None])] * len(self.tasks))


def joined(output: Tensor, kind: str) -> Tensor:
    """Join members: (members, rows, outputs) -> (1, rows, outputs).

    Numbers are averaged; of classes the probabilities are, given back as logits.
    """
    if len(output) == 1:
        return output
    if kind == "regression":
        return output.mean(0, keepdim=True)
    if kind == "classes":
        logs = torch.log_softmax(output, dim=2)
        return torch.logsumexp(logs, dim=0, keepdim=True) - math.log(len(output))
    positive, negative = (torch.logsumexp(nn.functional.logsigmoid(sign * output), 0, True) for sign in (1, -1))
    return positive - negative


def task_loss(output: Tensor, target: Tensor, kind: str) -> Tensor | None:
    """One loss a labelled row, the mean over members: squared error, or minus the log-probability of the true class.

    Args:
        output: (rows, members, outputs).
        target: (rows,) standardized numbers or places of classes; NaN without a label.
        kind: ``regression``, ``binary`` or ``classes``.

    Returns:
        (labelled rows,), or None where no row is labelled: unlabelled rows have no influence at all.
    """
    known = ~torch.isnan(target)
    if not known.all():
        output, target = output[known], target[known]
        if not len(target):
            return None
    if kind == "regression":
        return (output.squeeze(2) - target[:, None]).square().mean(1)
    if kind == "binary":
        wanted = target[:, None].expand(-1, output.shape[1])
        return nn.functional.binary_cross_entropy_with_logits(output.squeeze(2), wanted, reduction="none").mean(1)
    wanted = target.long()[:, None].expand(-1, output.shape[1])
    return nn.functional.cross_entropy(output.permute(0, 2, 1), wanted, reduction="none").mean(1)
