"""Runs sorted by setting: their means, and means over resampled seeds."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.numbers import Array
from ...errors import DataError, SettingError
from .pool_mixture import checked_pool

__all__ = ["Repeats"]


@dataclass(frozen=True, eq=False)
class Repeats:
    """Runs that differ by their seed only stand together.

    Attributes:
        losses: (m, k) one row a run, setting by setting, in the order of the seeds where they are paired.
        sizes: (settings,) runs of each.
        names: One a setting, in the order in which they first appeared.
        tasks: Names of the k tasks.
        seeded: Whether the runs of a setting are known to differ by their seed, so that they may be resampled.
        paired: Whether the same seeds belong together in every setting.
    """

    losses: Array
    sizes: NDArray[np.intp]
    names: tuple[str, ...]
    tasks: tuple[str, ...]
    seeded: bool
    paired: bool

    @classmethod
    def of(
        cls,
        losses: ArrayLike,
        settings: Sequence[Hashable] | None,
        seeds: Sequence[Hashable] | None,
        tasks: Sequence[str] | None,
        *,
        paired: bool,
    ) -> "Repeats":
        """Sort runs by setting; arguments and errors as in `audit_runs`."""
        array = np.array(losses, dtype=np.float64) if not hasattr(losses, "columns") else losses
        if isinstance(array, np.ndarray) and array.ndim == 3:
            return cls._of_cube(array, settings, seeds, tasks, paired)
        pool, named, rows = checked_pool(losses, tasks)
        labels = list(rows if settings is None else settings)
        if len(labels) != len(pool) or (seeds is not None and len(seeds) != len(pool)):
            raise SettingError(f"settings and seeds must have one label a run, {len(pool)}")
        number: dict[Hashable, int] = {}
        codes = np.array([number.setdefault(label, len(number)) for label in labels], dtype=np.intp)
        order = np.argsort(codes, kind="stable")
        if seeds is not None and paired:
            order = _paired_order(codes, labels, list(seeds))
        names = tuple(map(str, number))
        return cls(pool[order], np.bincount(codes), names, named, seeds is not None, paired)

    @classmethod
    def _of_cube(
        cls,
        cube: Array,
        settings: Sequence[Hashable] | None,
        seeds: Sequence[Hashable] | None,
        tasks: Sequence[str] | None,
        paired: bool,
    ) -> "Repeats":
        if seeds is not None:
            raise SettingError("losses of shape (settings, seeds, tasks) hold their seeds already: leave out `seeds`")
        count, repeats, width = cube.shape
        pool, named, _ = checked_pool(cube.reshape(count * repeats, width), tasks)
        labels: list[Hashable] = list(range(count) if settings is None else settings)
        if len(labels) != count or len(set(labels)) != count:
            raise SettingError(f"settings must be {count} different labels; found {len(labels)}")
        return cls(pool, np.full(count, repeats), tuple(map(str, labels)), named, True, paired)

    @property
    def starts(self) -> NDArray[np.intp]:
        """(settings,) first row of each."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    @property
    def means(self) -> Array:
        """(settings, k)."""
        return self._means(self.losses)

    def _means(self, rows: Array) -> Array:
        return np.asarray(np.add.reduceat(rows, self.starts, axis=0) / self.sizes[:, None])

    def resampled(self, resamples: int, seed: int) -> Iterator[Array]:
        """Means over seeds drawn with replacement: the same in every setting, or in each for itself."""
        generator = np.random.default_rng(seed)
        begin = np.repeat(self.starts, self.sizes)
        for _ in range(resamples):
            if self.paired:
                repeats = int(self.sizes[0])
                drawn = np.tile(generator.integers(repeats, size=repeats), len(self.sizes))
            else:
                drawn = (generator.random(len(begin)) * np.repeat(self.sizes, self.sizes)).astype(np.intp)
            yield self._means(self.losses[begin + drawn])


def _paired_order(codes: NDArray[np.intp], labels: list[Hashable], seeds: list[Hashable]) -> NDArray[np.intp]:
    """Positions of the runs by setting and seed; every setting must have the same seeds."""
    number: dict[Hashable, int] = {}
    repeats = np.array([number.setdefault(seed, len(number)) for seed in seeds], dtype=np.intp)
    names = list(dict.fromkeys(labels))
    held = set(zip(codes.tolist(), repeats.tolist(), strict=True))
    if len(held) < len(codes) or len(held) < len(names) * len(number):
        pairs = product(enumerate(names), number.items())
        missing = [f"{name} with seed {seed}" for (i, name), (seed, j) in pairs if (i, j) not in held]
        raise DataError(
            f"every setting needs one run for each seed; missing: {', '.join(missing[:10]) or 'none'}; "
            f"doubled: {len(codes) - len(held)}. Leave out `seeds` for no intervals, or pass paired=False"
        )
    return np.lexsort((repeats, codes))
