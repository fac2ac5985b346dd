"""Time and error of every k x k solve, side by side with torchjd in one run.

For each number of tasks and each input family of `equipoise.laws.families`, the same Gramian (or Jacobian, where the
peer takes no Gramian) goes to both libraries in turn; times are paired. Errors are measured against a reference made
here by slow and independent means from the Jacobian: non-negative least squares on its triangular factor, bisection,
Newton's method with residuals in extended precision, the singular value decomposition.

Run::

    OMP_NUM_THREADS=1 python benchmarks/solvers.py --out solvers

writes ``solvers/solvers.json`` and ``solvers/solvers.md``. Needs the extra ``bench``; a peer that cannot be imported or
built is named in the report.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import versions, write
from numpy.typing import NDArray
from scipy.optimize import brentq, nnls

from equipoise.core.tasks import Tasks
from equipoise.laws import Case, families
from equipoise.methods import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradVac,
    GramianMethod,
    MoDo,
    NashMTL,
    PCGrad,
    SDMGrad,
    UPGrad,
)
from equipoise.methods.base import Step

Array = NDArray[np.float64]
Weigh = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Reference = Callable[[Array], Array | None]
SIZES = (2, 3, 5, 10, 20, 50, 100)


# ---------------------------------------------------------------------------------------------- references
def _triangle(jacobian: Array) -> tuple[Array, Array]:
    """J = T^T Q^T with T (k, k) upper triangular: all geometry of the rows, without squaring."""
    basis, triangle = np.linalg.qr(jacobian.T)
    return basis, triangle


def _project_above(triangle: Array, point: Array, levels: Array) -> Array | None:
    """The d nearest to a point with <row_i, d> >= level_i: a least-distance problem (Lawson & Hanson, ch. 23)."""
    missing = levels - triangle.T @ point
    if (missing <= 0).all():
        return point
    unit = np.abs(missing).max()
    system = np.vstack([triangle, missing / unit])
    target = np.zeros(len(system))
    target[-1] = 1.0
    pulls, _ = nnls(system, target, maxiter=100 * len(missing))
    residual = system @ pulls - target
    return None if residual[-1] > -1e-14 else point - unit * residual[:-1] / residual[-1]


def _units(jacobian: Array) -> tuple[Array, Array, Array]:
    norms = np.linalg.norm(jacobian, axis=1)
    live = norms > 0
    basis, triangle = _triangle(jacobian[live] / norms[live, None])
    return basis, triangle, norms[live]


def min_norm(jacobian: Array) -> Array | None:
    """The min-norm point as the direction of largest margin: nearest to 0 with <g_i, d> >= 1, rescaled."""
    basis, triangle, norms = _units(jacobian)
    found = _project_above(triangle, np.zeros(len(triangle)), norms.min() / norms)
    return None if found is None else basis @ found * (norms.min() / (found @ found))


def dual_cone_mean(jacobian: Array) -> Array | None:
    """The mean gradient, projected."""
    basis, triangle, norms = _units(jacobian)
    found = _project_above(triangle, triangle @ norms / len(jacobian), np.zeros(len(norms)))
    return None if found is None else basis @ found


def dual_cone_each(jacobian: Array) -> Array | None:
    """The mean of the projected gradients."""
    basis, triangle, norms = _units(jacobian)
    parts = [_project_above(triangle, column, np.zeros(len(norms))) for column in triangle.T]
    if any(part is None for part in parts):
        return None
    total: Array = basis @ np.sum([norm * part for norm, part in zip(norms, parts, strict=True)], axis=0)
    return total / len(jacobian)


def descent_in_ball(jacobian: Array, c: float = 0.4) -> Array | None:
    """CAGrad by bisection on the worst descent: the level at which the nearest direction leaves the ball."""
    basis, triangle, norms = _units(jacobian)
    norms = norms / norms.max()
    mean = triangle @ norms / len(jacobian)
    radius = c * float(np.linalg.norm(mean))

    def distance(level: float) -> float:
        found = _project_above(triangle, mean, level / norms)
        return 10 * radius if found is None else float(np.linalg.norm(found - mean)) - radius

    low = float((norms * (triangle.T @ mean)).min())
    high = low + 4 * float(np.linalg.norm(mean))
    if radius == 0 or distance(high) <= 0:
        return None
    level = brentq(distance, low, high, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=300)
    found = _project_above(triangle, mean, level / norms)
    return None if found is None else basis @ found * np.linalg.norm(jacobian, axis=1).max() / (1 + c * c)


def _alpha_fair(jacobian: Array, alpha: float) -> Array | None:
    """Newton on the convex potential, damped by halving, then residuals in extended precision."""
    if min_norm(jacobian) is None:
        return None
    _, triangle, norms = _units(jacobian)
    power = 1 / alpha
    scale = np.exp(np.log(norms).mean())
    prices = (norms / scale) ** (power - 1)
    pulls = np.ones(len(norms))

    def potential(y: Array) -> float:
        gains = np.log(y) if power == 1 else y ** (1 - power) / (1 - power)
        return 0.5 * float(np.sum((triangle @ y) ** 2)) - float(prices @ gains)

    wide = triangle.astype(np.longdouble)
    square = triangle.T @ triangle
    for _ in range(400):
        exact = wide.T @ (wide @ pulls.astype(np.longdouble)) - prices * pulls.astype(np.longdouble) ** -power
        bend = power * prices * pulls ** (-power - 1)
        change = -np.linalg.solve(square + np.diag(bend), exact.astype(np.float64))
        ratio = change / pulls
        length = min(1.0, 0.9 / max(float(-ratio.min()), 1e-300))
        while length > 1e-6 and potential(pulls + length * change) > potential(pulls) + 1e-15 * len(pulls):
            length /= 2
        pulls = pulls + length * change
        if np.abs(ratio).max() < 1e-13 * len(pulls):
            break
    else:
        return None
    direction = (jacobian[np.linalg.norm(jacobian, axis=1) > 0] / norms[:, None]).T @ pulls
    return direction * scale ** (1 - 2 / (1 + power))


def nash(jacobian: Array) -> Array | None:
    """Nash-MTL's direction of length one."""
    found = _alpha_fair(jacobian, 1.0)
    return None if found is None else found / np.linalg.norm(found)


def fair(jacobian: Array) -> Array | None:
    """FairGrad's direction for alpha = 2."""
    return _alpha_fair(jacobian, 2.0)


def equal_projection(jacobian: Array) -> Array | None:
    """IMTL-G's direction, where equal projections exist."""
    norms = np.linalg.norm(jacobian, axis=1)
    units = jacobian[norms > 0] / norms[norms > 0, None]
    found, *_ = np.linalg.lstsq(units, np.ones(len(units)), rcond=1e-7)
    if np.abs(units @ found - 1).max() > 1e-7:
        return None
    pulls, *_ = np.linalg.lstsq(units.T, found, rcond=1e-7)
    total = float((pulls / norms[norms > 0]).sum())
    return found / total if abs(total) > 1e-9 * float(np.abs(pulls / norms[norms > 0]).sum()) else None


def conflict_free(jacobian: Array) -> Array | None:
    """The unit direction of equal projections."""
    norms = np.linalg.norm(jacobian, axis=1)
    units = jacobian[norms > 0] / norms[norms > 0, None]
    found, *_ = np.linalg.lstsq(units, np.ones(len(units)), rcond=1e-7)
    length = float(np.linalg.norm(found))
    return found / length if length > 1e-7 and np.abs(units @ found - 1).max() < 1e-7 else None


def pulled(jacobian: Array) -> Array | None:
    """SDMGrad as the min-norm point of shifted gradients."""
    if (np.linalg.norm(jacobian, axis=1) == 0).any():
        return None
    found = min_norm(jacobian + 0.3 * jacobian.mean(axis=0))
    return None if found is None else found / 1.3


def aligned(jacobian: Array) -> Array | None:
    """Aligned-MTL by singular values: the mean of the rows of the nearest matrix with equal ones."""
    left, singular, right = np.linalg.svd(jacobian[np.linalg.norm(jacobian, axis=1) > 0], full_matrices=False)
    kept = singular > 1e-7 * singular[0]
    return singular[kept][-1] * (left[:, kept].sum(axis=0) @ right[kept]) / len(jacobian)


# ---------------------------------------------------------------------------------------------- contestants
@dataclass(frozen=True)
class Contest:
    """One method of ours and a peer's.

    Attributes:
        name: Of the row.
        ours: The method, asked for weights from the Gramian.
        peer: Name of a class of torchjd.aggregation.
        settings: Of the peer; ``n_tasks`` is filled in.
        reference: Exact direction, or None for random methods (time only).
        from_jacobian: Whether the peer takes the Jacobian; then ours is given the Jacobian as well.
        unit: Whether only unit directions are compared.
    """

    name: str
    ours: GramianMethod
    peer: str
    settings: dict[str, Any]
    reference: Reference | None
    from_jacobian: bool = False
    unit: bool = False


CONTESTS = (
    Contest("MGDA", MGDA(), "MGDAWeighting", {}, min_norm),
    Contest("MGDA, peer accurate", MGDA(), "MGDAWeighting", {"epsilon": 1e-9, "max_iters": 10_000}, min_norm),
    Contest("UPGrad", UPGrad(), "UPGradWeighting", {}, dual_cone_each),
    Contest("DualProj", DualProj(), "DualProjWeighting", {}, dual_cone_mean),
    Contest("CAGrad", CAGrad(c=0.4), "CAGradWeighting", {"c": 0.4}, descent_in_ball, unit=True),
    Contest("NashMTL", NashMTL(), "NashMTL", {"n_tasks": 0}, nash, from_jacobian=True),
    Contest("FairGrad(2)", FairGrad(alpha=2.0), "FairGradWeighting", {"alpha": 2.0}, fair, unit=True),
    Contest("IMTLG", IMTLG(), "IMTLGWeighting", {}, equal_projection, unit=True),
    Contest("ConFIG", ConFIG(), "ConFIG", {}, conflict_free, from_jacobian=True, unit=True),
    Contest("SDMGrad", SDMGrad(lam=0.3), "SDMGradWeighting", {"lambda_": 0.3}, pulled, unit=True),
    Contest("MoDo", MoDo(), "MoDoWeighting", {}, None),
    Contest("AlignedMTL", AlignedMTL(), "AlignedMTLWeighting", {}, aligned),
    Contest("PCGrad", PCGrad(), "PCGradWeighting", {}, None),
    Contest("GradVac", GradVac(), "GradVacWeighting", {}, None),
)


def our_weights(contest: Contest, k: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Our side: weights from the Gramian, or a direction from the Jacobian; the state starts anew at each call."""
    method = contest.ours
    state = method.init(k)
    step = Step(Tasks(tuple(f"task{i}" for i in range(k))))

    def from_gramian(jacobian: torch.Tensor, gramian: torch.Tensor) -> torch.Tensor:
        del jacobian
        return method.weights(gramian, state, step).value

    def from_jacobian(jacobian: torch.Tensor, gramian: torch.Tensor) -> torch.Tensor:
        del gramian
        return method.weights(jacobian @ jacobian.T, state, step).value @ jacobian

    return from_jacobian if contest.from_jacobian else from_gramian


def peer_weights(contest: Contest, k: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The peer's side.

    Raises:
        ImportError: The peer, or what this method of it needs, is not installed.
    """
    from torchjd import aggregation  # noqa: PLC0415 - the extra `bench`

    settings = {**contest.settings, **({"n_tasks": k} if "n_tasks" in contest.settings else {})}
    peer = getattr(aggregation, contest.peer)(**settings)
    if contest.from_jacobian:
        return lambda jacobian, gramian: _forget(peer)(jacobian)
    return lambda jacobian, gramian: _forget(peer)(gramian)


def _forget(peer: Any) -> Any:
    if hasattr(peer, "reset"):
        peer.reset()
    return peer


# ---------------------------------------------------------------------------------------------- measuring
def measure(contest: Contest, case: Case, repeats: int, budget: float) -> dict[str, Any]:
    """One case: paired times in ms, and the error of each side's direction."""
    rows = case.jacobian
    if contest.name in ("MGDA", "MGDA, peer accurate", "SDMGrad") or contest.from_jacobian:
        rows = rows[np.linalg.norm(rows, axis=1) > 0]  # both sides solve the same problem
    jacobian = torch.from_numpy(np.ascontiguousarray(rows))
    gramian = jacobian @ jacobian.T
    k = len(rows)
    live = (gramian.diagonal() > 0).numpy()
    record: dict[str, Any] = {"method": contest.name, "k": len(case.jacobian), "case": case.name}
    if not live.all():
        return {**record, "skipped": "a zero row is left out before the solve on our side"}
    ours, peer = our_weights(contest, k), peer_weights(contest, k)
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    found: dict[str, torch.Tensor | None] = {}
    started = time.perf_counter()
    for repeat in range(repeats + 1):
        for side, solve in (("ours", ours), ("peer", peer)):
            begin = time.perf_counter()
            try:
                found[side] = solve(jacobian, gramian)
            except Exception as error:
                if side == "ours":
                    raise
                found[side], record["peer failed"] = None, f"{type(error).__name__}: {error}"[:200]
            times[side].append(1e3 * (time.perf_counter() - begin))
        if repeat == 0 and time.perf_counter() - started < budget:
            times = {"ours": [], "peer": []}  # the first call of each side pays for its imports
        elif time.perf_counter() - started > budget:
            break
    record["ours ms"], record["peer ms"] = (float(np.median(times[side])) for side in ("ours", "peer"))
    record["ratio"] = float(np.median(np.array(times["ours"]) / np.array(times["peer"])))
    wanted = None if contest.reference is None else contest.reference(rows)
    if wanted is None:
        return record
    for side, value in found.items():
        if value is None:
            continue
        direction = value if contest.from_jacobian else value @ jacobian
        error = _error(direction.double().numpy(), wanted, contest.unit, np.linalg.norm(rows, axis=1).min())
        if error is not None:
            record[f"{side} error"] = error
    return record


def _error(found: Array, wanted: Array, unit: bool, smallest: float) -> float | None:
    """Relative to the direction, or to the smallest gradient where the direction is shorter than 1e-7 of it."""
    length = float(np.linalg.norm(wanted))
    vanishing = length < 1e-7 * smallest
    if unit:
        if vanishing:
            return None  # no direction to compare
        own = float(np.linalg.norm(found))
        found, wanted, length = found / own if own else found, wanted / length, 1.0
    error = float(np.linalg.norm(found - wanted)) / (smallest if vanishing else length)
    return error if np.isfinite(error) else float("inf")


def run(
    sizes: Iterable[int], scales: tuple[float, ...], seed: int, repeats: int, budget: float
) -> list[dict[str, Any]]:
    """All contests on all cases."""
    records = []
    for k in sizes:
        for contest in CONTESTS:
            for case in families(k, seed=seed, scales=scales):
                try:
                    records.append(measure(contest, case, repeats, budget))
                except (ImportError, AttributeError) as error:
                    records.append({"method": contest.name, "k": k, "case": case.name, "not run": str(error)[:200]})
                    break
            print(f"k={k} {contest.name}", file=sys.stderr, flush=True)
    return records


# ---------------------------------------------------------------------------------------------- the report
def table(records: list[dict[str, Any]]) -> str:
    """Markdown: medians over the cases of each method and k."""
    lines = [
        "| method | k | ours ms | peer ms | ratio | our error: median, worst | peer's error: median, worst | cases |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = list(dict.fromkeys((record["method"], record["k"]) for record in records))
    for name, k in sorted(keys, key=lambda key: ([contest.name for contest in CONTESTS].index(key[0]), key[1])):
        group = [record for record in records if (record["method"], record["k"]) == (name, k)]
        timed = [record for record in group if "ratio" in record]
        if not timed:
            reason = next((record["not run"] for record in group if "not run" in record), "no case")
            lines.append(f"| {name} | {k} | peer not run: {reason} | | | | | |")
            continue
        medians = [float(np.median([record[key] for record in timed])) for key in ("ours ms", "peer ms", "ratio")]
        errors = [_spread(timed, f"{side} error") for side in ("ours", "peer")]
        failures = sum("peer failed" in record for record in timed)
        cases = f"{len(timed)}" + (f", peer failed on {failures}" if failures else "")
        numbers = " | ".join(f"{median:.3f}" for median in medians)
        lines.append(f"| {name} | {k} | {numbers} | {errors[0]} | {errors[1]} | {cases} |")
    return "\n".join(lines)


def _spread(records: list[dict[str, Any]], key: str) -> str:
    errors = [record[key] for record in records if key in record]
    return f"{np.median(errors):.0e}, {max(errors):.0e}" if errors else "not scored"


def main() -> None:
    """Parses, runs, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for solvers.json and solvers.md")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 1e-4])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds a case, after which repeats stop")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the peers' solvers warn at every inaccurate solve; errors are in the table
    records = run(options.sizes, tuple(options.scales), options.seed, options.repeats, options.budget)
    about = versions("equipoise", "torchjd", "torch", "numpy", "scipy", "ecos", "quadprog", "clarabel")
    head = ", ".join(f"{name} {value}" for name, value in about.items())
    text = f"# Solvers, side by side\n\n{head}; scales {options.scales}, seed {options.seed}.\n\n{table(records)}\n"
    write(options.out, "solvers", {"about": about, "records": records}, text)


if __name__ == "__main__":
    main()
