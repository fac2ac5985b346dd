"""Records made by hand: right in shape and roughly right in size, without the library that computes them."""

import base64
import itertools
import zlib

import numpy as np
import pytest

from equipoise.audits.pictures.catalogue import arranged
from equipoise.audits.widths.optima import Shares
from equipoise.core.records.audit import (
    About,
    AuditRecord,
    Bootstrap,
    Condition,
    DataCard,
    Effect,
    FrontPoint,
    Rung,
    TaskCard,
    Verdict,
)

HEADLINES = {
    "enough": "A weighted sum is enough, but not equal weights.",
    "not_enough": "A weighted sum is not enough.",
    "nothing_to_trade": "Nothing to trade.",
    "undetermined": "Whether a weighted sum is enough could not be decided.",
}


def _front(k: int, hidden: bool) -> tuple[FrontPoint, ...]:
    """Points of a width-1 model whose tasks correlate by .3, one pair negatively."""
    generator = np.random.default_rng(7)
    correlation = np.full((k, k), 0.3) + 0.7 * np.eye(k)
    correlation[0, 1] = correlation[1, 0] = -0.2
    factor = np.linalg.cholesky(correlation).T

    def losses(vector: np.ndarray) -> tuple[float, ...]:
        return tuple(float(x) for x in 1 - 0.9 * (factor.T @ (vector / np.linalg.norm(vector))) ** 2)

    points = [FrontPoint(kind="any model", losses=losses(generator.normal(size=k))) for _ in range(800)]
    for _ in range(150):
        weights = generator.dirichlet(np.ones(k))
        top = np.linalg.eigh(factor * weights @ factor.T)[1][:, -1]
        points.append(FrontPoint(kind="weighted sum", losses=losses(top), weights=tuple(map(float, weights))))
    balanced = losses(factor @ np.ones(k))
    for step in range(12):
        point = losses(factor @ (np.ones(k) + 0.1 * step * generator.normal(size=k)))
        points.append(FrontPoint(kind="one model", losses=point, gap=0.03 if hidden and step % 2 else 0.0))
    equal = losses(np.linalg.eigh(factor @ factor.T)[1][:, -1])
    points += [
        FrontPoint(kind="equal weights", losses=equal, weights=(1 / k,) * k),
        FrontPoint(kind="best weights", losses=points[801].losses, weights=points[801].weights),
        FrontPoint(kind="tchebycheff", losses=balanced),
        FrontPoint(kind="mixture", losses=tuple(0.95 * x for x in balanced)),
        FrontPoint(kind="separate", losses=(0.1,) * k),
    ]
    return tuple(points)


def _rung(kind: str, words: str, names: tuple[str, ...], worst: float, width: int, **more: object) -> Rung:
    losses = (worst, *(worst * 0.8 for _ in names[1:]))
    settings = {
        "models": 1,
        "exactness": "exact",
        "lower": worst,
        "closes": False,
        **more,
    }
    return Rung(
        kind=kind, words=words, width=width, worst=worst, worst_task=names[0], worst_excess=worst - 0.1, losses=losses,
        **settings,
    )  # fmt: skip


def _verdict(names: tuple[str, ...], status: str, width: int, bootstrap: bool) -> Verdict:
    k, bad = len(names), status == "not_enough"
    equal = (1 / k,) * k
    ladder = (
        _rung("equal_weights", "equal weights", names, 0.917, width, weights=equal),
        _rung(
            "best_weights", "best weights found", names, 0.708, width, weights=equal, lower=0.645 if bad else 0.708,
            exactness="found by search" if bad else "exact", solves=1234 if bad else None,
            weight_digits=4 if bad else 1, closes=not bad,
        ),
        _rung("tchebycheff", "one Tchebycheff model", names, 0.645 if bad else 0.708, width, closes=True),
        _rung("mixture", "a mixture of two models", names, 0.601, width, models=2, closes=True),
        _rung("wider", f"width {width + 1} with plain weights", names, 0.206, width + 1, weights=equal, closes=True),
        _rung("separate", f"width {k} = separate models", names, 0.141, k, closes=True, lower=0.139,
              exactness="bracket"),
    )  # fmt: skip
    condition = Condition(
        status={"enough": "holds", "not_enough": "fails", "nothing_to_trade": "single point"}.get(
            status, "undetermined"
        ),
        test="sign test of the correlations of the predictable parts",
        necessary=True,
        margin=0.2 if bad else 0.0,
        signs=(1,) * k if status == "enough" else (),
        cycle=names[:3] if bad else (),
        cycle_correlations=(0.31, -0.2, 0.44)[: min(k, 3)] if bad else (),
        rank=k,
    )
    headline = HEADLINES[status]
    return Verdict(
        status=status,
        headline=headline,
        words=f"{headline} The worst task, {names[0]}, stays at 0.708 of its variance for the best weights found "
        "(1,234 solves); one model reaches 0.645 (Tchebycheff), a mixture of two 0.601.",
        caveat="It speaks of a linear model on these rows, in-sample; other models may trade differently.",
        about=About(
            model=f"linear model with a shared layer of width {width}", width=width, rank=k, rows=4449,
            split="in-sample",
        ),
        condition=condition,
        effect=Effect(
            balanced_gap=0.063 if bad else 0.0, mixture_gap=0.044, largest_gap=0.08, directions=55,
            exactness="found by search" if bad else "exact", threshold=0.01,
        ),
        ladder=ladder,
        remedy=2 if bad else 1,
        front=_front(k, bad),
        bootstrap=Bootstrap(
            resamples=200, statuses={"not_enough": 180, "enough": 20}, conditions={"fails": 190, "holds": 10},
            balanced_gap=(0.02, 0.06, 0.09), margin=(0.1, 0.2, 0.3),
        ) if bootstrap else None,
    )  # fmt: skip


def make_record(
    names: tuple[str, ...] = ("joint0", "joint4", "joint6"),
    statuses: tuple[str, ...] = ("not_enough",),
    *,
    bootstrap: bool = False,
    title: str = "SARCOS: joint0, joint4 and joint6",
) -> AuditRecord:
    """A record with one verdict a status, at widths 1, 2, ..."""
    k = len(names)
    correlations = [[1.0 if i == j else (-0.2 if i + j == 1 else 0.31) for j in range(k)] for i in range(k)]
    record = AuditRecord(
        title=title,
        command=f"equipoise audit sarcos_inv_test.mat --targets '{','.join(names)}' --width 1",
        data=DataCard(
            name="sarcos_inv_test.mat", source="SARCOS arm, read from a file", rows=4500, rows_used=4449, inputs=21,
            steps=("21 numeric inputs were centred and scaled.", "7 torque columns are targets, never inputs."),
            warnings=("column 'id' counts the rows; drop it with --drop id",),
        ),
        tasks=tuple(
            TaskCard(
                name=name, unit="N m" if i else "", kind="regression", variance=123.4 / (i + 1), separate_loss=0.1,
                correlations=tuple(correlations[i]),
            )
            for i, name in enumerate(names)
        ),
        verdicts=tuple(
            _verdict(names, status, width, bootstrap) for width, status in zip(itertools.count(1), statuses)
        ),
        smallest_width=k,
        versions={"equipoise": "0.1.0", "numpy": "2.4.0"},
    )  # fmt: skip
    problem = Shares(0.9 * np.array(correlations), np.full(k, 0.1), names, k, 4449)
    return record.model_copy(update={"pictures": arranged(problem, record.verdicts)})


@pytest.fixture(scope="session")
def record_of():
    """The maker of records, as a fixture: test folders do not import each other."""
    return make_record


@pytest.fixture(scope="session")
def scripts_of():
    """The code that a page may run: its own scripts as they stand, and plotly unpacked."""

    def found(soup):
        scripts = [s.string for s in soup.find_all("script") if s.get("type") is None]
        packed = [s.string for s in soup.find_all("script", id="plotly")]
        return [*scripts, *(zlib.decompress(base64.b64decode(text)).decode() for text in packed)]

    return found
