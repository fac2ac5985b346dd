"""Draws the picture of the first page: SARCOS, joints 0, 4 and 6, one shared number.

    EQUIPOISE_DATA=... python docs/_ext/front_picture.py

The drawing is committed, because a build of the site has no data of others. It needs ``sarcos/sarcos_inv_test.mat``.
"""

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import equipoise as eq
from equipoise.linear import LinearProblem

JOINTS = (0, 4, 6)
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"


def sarcos() -> LinearProblem:
    """Three torques from 21 inputs; losses are shares of each torque's variance."""
    table = eq.data.load(Path(os.environ["EQUIPOISE_DATA"]) / "sarcos" / "sarcos_inv_test.mat")
    return LinearProblem(table.inputs, table.targets[:, JOINTS])


def place(problem: LinearProblem, captured: np.ndarray) -> tuple[float, float]:
    """Mean and largest excess over separate models, in shares of variance."""
    excess = problem.gramian.diagonal() - captured
    return float(excess.mean()), float(excess.max())


def draw(problem: LinearProblem) -> Figure:
    """Every weighted sum as a dot, what no weights reach, and the remedies."""
    gramian = problem.gramian
    sums = [place(problem, eq.linear.scalarized(gramian, weights, 1).captured) for weights in eq.front.lattice(3, 40)]
    equal = place(problem, eq.linear.scalarized(gramian, np.ones(3), 1).captured)
    point = eq.linear.tchebycheff(gramian, np.ones(3), 1)
    mixed = place(problem, point.mixture_weights @ point.mixture_captured)
    wide = place(problem, eq.linear.tchebycheff(gramian, np.ones(3), 2).captured)
    found = eq.linear.best_weights(gramian, np.zeros(3), 1).worst
    figure = Figure(figsize=(7.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhspan(0, found, color=RED, alpha=0.06, linewidth=0)
    axes.axhline(found, color=RED, linewidth=1, linestyle="--")
    axes.annotate(f"no weights that were found lead below this line ({found:.3f})", (0.03, found), (0, -13),
                  xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=9, color=RED)  # fmt: skip
    axes.plot(
        *np.array(sums).T, ".", color="#9a9a9a", markersize=3, label=f"weighted sums ({len(sums)} sets of weights)"
    )
    for (x, y), label, color, mark in (
        (equal, f"equal weights: {equal[1]:.3f}", BLUE, "o"),
        (place(problem, point.captured), f"best single model (Tchebycheff): {point.value:.3f}", RED, "*"),
        (mixed, f"mixture of two models: {mixed[1]:.3f}", GREEN, "D"),
        (wide, f"one model with two shared numbers: {wide[1]:.3f}", "black", "s"),
    ):
        axes.plot(x, y, mark, color=color, markersize=13 if mark == "*" else 8, label=label)
    axes.set(
        xlabel="mean excess over separate models (shares of variance)",
        ylabel="largest excess",
        xlim=(0, 0.65),
        ylim=(0, 1.02),
    )
    axes.legend(fontsize=9, loc="lower center")
    return figure


if __name__ == "__main__":
    draw(sarcos()).savefig(Path(__file__).parents[1] / "_static" / "front.svg", metadata={"Date": None})
