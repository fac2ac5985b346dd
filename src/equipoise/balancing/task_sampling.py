"""Tasks with their own data: batches from several loaders side by side, and the weights of a pooled mean."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from ..errors import DataError, SettingError, listed

__all__ = ["size_weights", "task_batches"]


def size_weights(sizes: Mapping[str, int]) -> dict[str, float]:
    r"""Weights that make a sum of per-task mean losses the mean over all samples.

    .. math:: w_i = n_i / \sum_j n_j, \qquad
              \sum_i w_i \frac{1}{n_i} \sum_{s \in i} \ell_{is} = \frac{1}{n} \sum_i \sum_{s \in i} \ell_{is}

    with n_i the number of samples of task i. Equal weights count every task alike instead, whatever its size; choose
    by what the training is for.

    Args:
        sizes: Number of samples of each task, at least 1: ``{name: len(dataset)}``.

    Returns:
        One weight per task, with sum 1: for ``eq.LinearScalarization(weights)`` and for preferences.

    Raises:
        SettingError: No task, or a size that is not positive; all offenders are named.

    Example:
        >>> size_weights({"depth": 300, "normals": 100})
        {'depth': 0.75, 'normals': 0.25}
    """
    wrong = {name: size for name, size in sizes.items() if not size >= 1}
    if wrong or not sizes:
        raise SettingError(f"`sizes` must hold at least one sample a task; got {wrong or sizes!r}.")
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()}


def task_batches(
    loaders: Mapping[str, Iterable[Any]], *, short: Literal["cycle", "absent"] = "cycle"
) -> Iterator[dict[str, Any]]:
    """One epoch over several loaders: at each step a batch of every task.

    The epoch has as many steps as the longest loader. With ``short="cycle"`` a shorter one starts again (and
    reshuffles, if it shuffles), so every task takes part in every step; `size_weights` then gives the pooled mean in
    expectation. With ``short="absent"`` it is used once and its entry is None afterwards: compute no loss for it and
    pass None to the Balancer, which leaves out the task and keeps its state. Each sample then occurs once per epoch.

    Args:
        loaders: Task name -> loader: a `DataLoader`, a list, or anything that can be iterated more than once.
        short: ``"cycle"`` to restart a loader that ends before the longest, ``"absent"`` to leave its task out.

    Yields:
        A dict from task name to batch, or to None; never None for all tasks.

    Raises:
        SettingError: No loader, an unknown `short`, or (for ``"cycle"``) an iterator that can be used only once.
        DataError: A loader without a single batch.

    Example:
        >>> for batches in task_batches({"a": [1, 2, 3], "b": [10]}, short="absent"):
        ...     print(batches)
        {'a': 1, 'b': 10}
        {'a': 2, 'b': None}
        {'a': 3, 'b': None}
    """
    if not loaders:
        raise SettingError("`loaders` must hold at least one loader, by task name.")
    if short not in ("cycle", "absent"):
        raise SettingError(f"`short` must be 'cycle' or 'absent'; got {short!r}.")
    # decided by the type: iter(loader) would start a DataLoader's workers and draw its seed
    once = [name for name, loader in loaders.items() if isinstance(loader, Iterator)]
    if short == "cycle" and once:
        raise SettingError(
            f"a loader that starts again must be iterable more than once; {listed(once)} can be walked only once. Pass "
            "the DataLoader itself, not iter(loader), or use short='absent'."
        )
    return _epoch(loaders, cycle=short == "cycle")


def _epoch(loaders: Mapping[str, Iterable[Any]], *, cycle: bool) -> Iterator[dict[str, Any]]:
    running = {name: iter(loader) for name, loader in loaders.items()}
    unfinished = set(loaders)
    first = True
    while True:
        batches = {name: next(running[name], _END) for name in loaders}
        ended = [name for name, batch in batches.items() if batch is _END]
        if first and ended:
            shown = "; ".join(f"'{name}' has no batch" for name in ended)
            raise DataError(f"the loader of every task must have at least one batch; {shown}.")
        unfinished.difference_update(ended)
        if not unfinished:
            return
        first = False
        for name in ended:  # only now: a loader that ends with the last of them is not started again
            batches[name] = None
            if cycle:
                running[name] = iter(loaders[name])
                batches[name] = next(running[name], _END)
                if batches[name] is _END:
                    raise DataError(
                        f"the loader of '{name}' has no batch when it is started again. Pass one that can be "
                        "iterated more than once, or use short='absent'."
                    )
        yield batches


_END = object()
