"""The arguments of `fit_table`: checked all at once, and written down as a configuration."""

from collections.abc import Sequence
from typing import Literal

from ...core.numbers import is_whole
from ...errors import SettingError

__all__ = ["BASELINES", "Baseline", "checked_seeds"]

Baseline = Literal["weights", "separate", "boosting"]
BASELINES: tuple[Baseline, ...] = ("weights", "separate", "boosting")


def checked_seeds(
    seeds: int | Sequence[int],
    epochs: int | None,
    hidden: Sequence[int] | None,
    width: int | None,
    trials: int,
    baselines: Sequence[str],
    jobs: int,
) -> list[int]:
    """The seeds.

    Raises:
        SettingError: All settings that are out of range.
    """
    given = range(seeds) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    chosen = list(given) if isinstance(given, Sequence) else []
    wrong = []
    if not chosen or not all(map(is_whole, chosen)) or len(set(chosen)) < len(chosen):
        wrong.append(f"seeds={seeds!r} (how many, at least 1, or different whole numbers)")
    for name, value in {"epochs": epochs, "width": width, "trials": trials, "jobs": jobs}.items():
        wrong += [] if value is None or is_whole(value, least=1) else [f"{name}={value!r} (a whole number, at least 1)"]
    if hidden is not None and (not hidden or not all(is_whole(units, least=1) for units in hidden)):
        wrong.append(f"hidden={hidden!r} (one width or more, each at least 1)")
    if unknown := [name for name in baselines if name not in BASELINES]:
        wrong.append(f"baselines={unknown!r} (known: {', '.join(BASELINES)})")
    if wrong:
        raise SettingError(f"arguments of fit are out of range: {'; '.join(wrong)}.")
    return [int(seed) for seed in chosen]
