"""The digit problems by name as subjects: each seed draws its own split, pairs and angles."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from ...core.text import plural
from ...training.problem.problem import Problem
from ..data_problems.overlapped_digits import overlapped_digits
from ..data_problems.rotated_digits import rotated_digits
from .subject import Given, Subject, cosine, of_problem

__all__ = ["DIGITS", "of_digits", "parted"]

DIGITS: Mapping[str, Callable[..., Problem]] = MappingProxyType(
    {"overlapped-digits": overlapped_digits, "rotated-digits": rotated_digits}
)
"""Name -> function of a seed and a folder of images that makes the problem."""

_EPOCHS, _ROWS, _RATE = 20, 256, 3e-3


def parted(name: str) -> tuple[str, str | None]:
    """Name and folder of ``NAME`` or ``NAME:FOLDER``.

    Example:
        >>> parted("overlapped-digits:mnist"), parted("rotated-digits")
        (('overlapped-digits', 'mnist'), ('rotated-digits', None))
    """
    word, _, folder = name.partition(":")
    return word.lower(), folder or None


def of_digits(name: str, seeds: Sequence[int], epochs: int | None, hidden: Sequence[int] | None) -> Subject:
    """A digit problem by name, in `DIGITS`.

    Args:
        name: Name, and after a colon a folder with files in the format of MNIST.
        seeds: Seeds of the exploration.
        epochs: Passes over the training rows; 20 if None.
        hidden: Widths of the shared layers; the problem's own if None.

    Raises:
        DataError: Files that can't be read.
    """
    word, folder = parted(name)
    widths = {} if hidden is None else {"hidden": tuple(hidden)}
    make = partial(DIGITS[word], source=folder, **widths)
    settings = {"batch_size": _ROWS, "optimizer": _adamw, "schedule": cosine}
    passes = _EPOCHS if epochs is None else epochs
    first = of_problem(partial(make, seeds[0]), settings, None, passes)
    asked = {**first.asked, "name": word}
    of_seed = f"{first.asked['problem']} for seed {seeds[0]}, here with seed"
    return replace(
        first,
        problem_of=lambda seed: Given(partial(make, seed), f"{of_seed} {seed}"),
        plain=lambda seed: partial(make, seed),
        words=f"{first.words}, {'scikit-learn' if folder is None else folder}; each seed draws its own rows",
        asked=asked,
        budget=f"{plural(passes, 'epoch')} in batches of {_ROWS} with AdamW, learning rate from {_RATE:g} to 0",
    )


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=_RATE)
