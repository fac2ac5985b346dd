"""A pass over a network's data, and the audit of what its features hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from ...core.numbers import Array
from ...core.progress import Progress
from ...core.records.audit import AuditRecord, DataCard, Verdict
from ...errors import DataError, InputError
from ..table_audit import check_settings
from .features import Where, features_of
from .targets import Columns, Targets

__all__ = ["audit_features"]


def audit_features(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    features: Where = None,
    tasks: Sequence[str] | None = None,
    classes: Mapping[str, int] | None = None,
    unpack: Callable[[Any], tuple[Any, Targets]] | None = None,
    width: int | None = None,
    name: str = "",
    bootstraps: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> AuditRecord:
    """Which trade-offs the tasks of a network have on its features: exact for linear heads on a shared linear layer.

    The features of the network are taken as inputs X of a linear problem, the targets as Y, and the audit is that of a
    table: which widths of a further shared linear layer would remove the trade-off, which tasks conflict, how much is
    at stake. It speaks of the features as they are now; training would move them. Only sums over the rows are kept
    ((p, p), (p, k), (k, k)), so the loader may be of any length, unless the verdict is to be resampled.

    Classification enters by least squares, one task a target, as in the audit of a table: two classes are 0 and 1, more
    are scored so that the features predict the scores best (`equipoise.data.encoding.scores.best_scores`). That is not
    cross-entropy, and the record says so.

    Args:
        model: Any module; put into eval mode for the pass and back. No gradients are taken.
        loader: Yields batches of (inputs, targets). Inputs: what the model takes; a tuple is spread over its
            arguments, a mapping over its keywords. Targets: (n, k) numbers, or a mapping from task names to (n,)
            tensors: floating for regression, integers for classes. Rows with NaN in a target are left out.
        features: What the features are, (n, p): None for the input of the model's heads, the last linear layers that
            share one input; the name of a module, whose output they are; or a function of a batch's inputs.
        tasks: k names, for targets given as a tensor.
        classes: Task -> number of its classes; needed for every integer target.
        unpack: A batch -> (inputs, targets), for batches of another form.
        width: Width of the shared layer; None for every width up to the smallest at which nothing is left to trade.
        name: Name of the network in the report. Default: its class.
        bootstraps: Resamples of the rows over which the range of each verdict is given. With any, the features of all
            rows are kept: n (p + k) numbers.
        seed: Seed of resamples and searches.
        progress: Called as the pass and the audit go on.

    Returns:
        The record, as `audit` returns it.

    Raises:
        InputError: Features cannot be found, or targets cannot be used.

    Cost: One pass of the model, and (p + k)^2 multiplications a row.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = torch.randn(200, 3)
        >>> record = audit_features(model, [(x, x[:, :2] ** 2)], tasks=("a", "b"), width=1)
        >>> record.data.inputs, record.verdicts[0].condition.status
        (8, 'holds')
    """
    from ...linear.problem.linear_problem import LinearProblem  # noqa: PLC0415 - scipy
    from ...linear.problem.second_moments import SecondMoments  # noqa: PLC0415 - scipy
    from ..assemble import audit_record  # noqa: PLC0415 - scipy

    check_settings(width, bootstraps, seed)
    stream = SecondMoments()
    columns = Columns(dict(classes or {}), None if tasks is None else tuple(tasks))
    rows: list[tuple[Array, Array]] = []
    with _evaluated(model), torch.no_grad():
        for number, batch in enumerate(loader):
            if progress:
                progress(0, 1, f"features of batch {number + 1}")
            inputs, targets = unpack(batch) if unpack else _split(batch)
            found = features_of(model, inputs, features)
            values = columns.encode(targets)
            if len(values) != len(found):
                raise DataError(f"features and targets must have the same rows; found {len(found)} and {len(values)}")
            whole = ~np.isnan(values).any(axis=1)
            columns.rows += len(values)
            batch_rows = found.detach().to("cpu", torch.float64).numpy()[whole], values[whole]
            stream.update(*batch_rows)
            if bootstraps:
                rows.append(batch_rows)
    second, cross, means = stream.second_moments, stream.cross_moments, stream.target_means
    mixing = columns.scored(second, cross, means, stream.rows)
    if bootstraps:
        X, Y = (np.concatenate(parts) for parts in zip(*rows, strict=True))
        problem = LinearProblem(X, Y @ mixing, width, tasks=columns.names)
    else:
        problem = LinearProblem.from_moments(
            second,
            cross @ mixing,
            mixing.T @ stream.target_moments @ mixing,
            rows=stream.rows,
            input_means=stream.input_means,
            target_means=means @ mixing,
            width=width,
            tasks=columns.names,
        )
    shown = name or type(model).__name__
    place = "the input of the heads" if features is None else f"the output of {features!r}"
    record = audit_record(
        problem,
        DataCard(
            name=shown,
            source=f"features of the network {shown}: {'given by a function' if callable(features) else place}",
            rows=columns.rows,
            rows_used=problem.rows,
            inputs=problem.inputs,
            steps=tuple(columns.steps),
            warnings=tuple(columns.warnings),
        ),
        title=f"Features of {shown}: {len(problem.tasks)} tasks",
        kinds=columns.kinds,
        columns="Features",
        packages=("torch",),
        width=width,
        bootstraps=bootstraps,
        seed=seed,
        progress=progress,
    )
    return record.model_copy(update={"verdicts": tuple(_about_features(verdict, shown) for verdict in record.verdicts)})


@contextmanager
def _evaluated(model: nn.Module) -> Iterator[None]:
    """Eval mode, and every module's own mode back at the end."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _split(batch: Any) -> tuple[Any, Targets]:
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    raise InputError(
        f"a batch must be (inputs, targets); found {type(batch).__name__}. Say how to take it apart: "
        "audit_features(model, loader, unpack=lambda batch: (batch['x'], batch['y']))"
    )


def _about_features(verdict: Verdict, shown: str) -> Verdict:
    about = verdict.about.model_copy(
        update={
            "model": f"linear heads on the features of {shown}, through a shared layer of width {verdict.about.width}"
        }
    )
    caveat = (
        f"{verdict.caveat} It speaks of linear heads, fitted by least squares, on the features as they are now: "
        "training on would move the features."
    )
    return verdict.model_copy(update={"about": about, "caveat": caveat})
