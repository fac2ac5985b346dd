"""Running statistics of normalisation layers, measured anew after parameters were written by hand."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import DataError

__all__ = ["keeps_modes", "layers_with_statistics", "reestimate_statistics"]

_Layer = (
    nn.BatchNorm1d
    | nn.BatchNorm2d
    | nn.BatchNorm3d
    | nn.SyncBatchNorm
    | nn.InstanceNorm1d
    | nn.InstanceNorm2d
    | nn.InstanceNorm3d
)


def layers_with_statistics(model: nn.Module) -> dict[str, nn.Module]:
    """Normalisation layers that hold a running mean and variance, by name.

    Example:
        >>> list(layers_with_statistics(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.LayerNorm(2))))
        ['1']
    """
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _Layer) and module.running_mean is not None
    }


@contextmanager
def keeps_modes(model: nn.Module) -> Iterator[None]:
    """Puts every module's train or eval mode back at the end."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def reestimate_statistics(
    model: nn.Module, loader: Iterable[Any], forward: Callable[[nn.Module, Any], object] | None = None
) -> int:
    """Replaces running means and variances by their plain average over the batches of a loader.

    The model runs in train mode without gradients, so dropout draws from the global generator as in training.

    Args:
        model: Model whose layers' statistics are reset; modes and momenta are put back.
        loader: Loader that yields batches.
        forward: ``forward(model, batch)``; None for ``model(batch)``, or ``model(batch[0])`` where a batch is a tuple
            or a list, moved to the model's device.

    Returns:
        Number of batches seen; 0 if the model has no such layer (the loader is then not touched).

    Raises:
        DataError: The loader is empty; statistics are unchanged.
    """
    layers = list(layers_with_statistics(model).values())
    if not layers:
        return 0
    batches = iter(loader)
    batch = next(batches, None)
    if batch is None:
        raise DataError("`loader` must yield at least one batch to measure normalisation statistics on; it is empty.")
    run = forward or _forward
    momenta = [layer.momentum for layer in layers]
    seen = 0
    with keeps_modes(model), torch.no_grad():
        try:
            for layer in layers:
                layer.reset_running_stats()  # type: ignore[operator]
                layer.momentum = None  # type: ignore[assignment]  # the cumulative average
            model.train()
            while batch is not None:
                run(model, batch)
                seen += 1
                batch = next(batches, None)
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum
    return seen


def _forward(model: nn.Module, batch: Any) -> object:
    inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
    place = next(model.parameters(), None)
    return model(inputs.to(place.device) if isinstance(inputs, Tensor) and place is not None else inputs)
