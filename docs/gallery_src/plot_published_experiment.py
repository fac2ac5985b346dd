r"""
What weighted sums cannot reach
===============================

Hu et al. (NeurIPS 2023) trained linear models with one shared layer on triples of the SARCOS torques, once with every
weighted sum of the losses and once with MGDA, and saw MGDA end at points that no weights gave. Here the same experiment
is repeated with exact answers: whether a point is Pareto-optimal, and whether some weights reach it, is computed, not
read off a scatter plot.

Losses are mean squared errors in shares of each task's variance, in-sample, on the 4449 rows of the test file (it
overlaps the official training file, so no figure here is an official result). Where that file is missing the page uses
the built-in robot arm of the same shape: other numbers, the same questions.
"""

# %%
import os
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

import equipoise as eq
from equipoise.audits.pictures.gap import Gap
from equipoise.audits.pictures.region import Region
from equipoise.audits.studies import reproduce_triples, triples_table
from equipoise.audits.studies.tables import as_text
from equipoise.core.drawing.plot_parts import standalone

try:
    root = Path(__file__).resolve().parents[2]
except NameError:  # the gallery runs pages from their own folder
    root = Path.cwd().resolve().parents[1]
path = Path(os.environ.get("EQUIPOISE_DATA", root.parent / "shared" / "data")) / "sarcos" / "sarcos_inv_test.mat"
table = eq.data.load(path) if path.is_file() else eq.data.load("arm")
print(table)

# %%
# Two triples at widths 1 and 2. On joints 0, 4, 6 the theorem's condition fails at width 1 by a wide margin, on joints
# 0, 1, 2 by a hair. A cell such as ``20 / 3 / 3`` counts starts that ended Pareto-stationary, that ended
# Pareto-optimal, and of these the ones out of reach of all weights. All 35 triples:
# ``equipoise reproduce sarcos --data PATH`` (minutes).
names = table.tasks
record = reproduce_triples(
    table,
    triples=[(names[0], names[4], names[6]), (names[0], names[1], names[2])],
    directions=28,
)
print(as_text(*triples_table(record)))

# %%
# Most ends of MGDA are only Pareto-stationary: another single model is better on every task. Those that are
# Pareto-optimal and out of reach are the evidence. MGDA-UB, which takes the gradients at the features, stops at a few
# isolated points, and on the way its losses rise again and again: it does not descend.
for triple in record.triples:
    if triple.condition == "fails":
        for run in triple.runs[:2]:
            leads = [point.lead for point in run.points if point.pareto == "optimal" and point.reachable is False]
            print(
                f"{', '.join(triple.tasks)}, width {triple.width}, {run.method}: {run.distinct} different ends, "
                f"{run.rises} steps after which a loss had risen; leads of mixtures at ends out of reach: "
                f"{[round(lead, 4) for lead in leads]}"
            )

# %%
# The feasible region at width 1. Colours are the four sign patterns; grey lines are the creases where two surfaces
# meet, and crosses the points of them that are Pareto-optimal and that no weights reach. First joint 0 against joint 4:
columns = [0, 4, 6]
problem = eq.linear.LinearProblem(table.inputs, table.targets[:, columns], tasks=[names[i] for i in columns])
ends = {run.method: [point.losses for point in run.points] for run in record.triples[0].runs[:2]}
pairs = [go.Figure(standalone(panel["figure"])) for panel in Region.of(problem, 1, others=ends).panels()]
pairs[0].update_layout(height=480)

# %%
# Joint 0 against joint 6:
pairs[1].update_layout(height=480)

# %%
# Joint 4 against joint 6:
pairs[2].update_layout(height=480)

# %%
# By how much a mixture of models improves every task at once, over the front of single models. It is zero where some
# weights reach the model.
found = Gap.of(problem, 1, directions=66)
print(f"largest gap over {len(found.gap)} directions: {max(found.gap):.4f} of variance")
go.Figure(standalone(found.panels()[0]["figure"]))

# %%
# The best mixture at the point with the largest gap has few members, each of them one linear model of width 1.
place = int(np.argmax(found.gap))
captured = problem.total - np.array(found.losses[place])
best = eq.linear.minimal_mixture(problem.gramian, 1, captured, np.ones(3))
print("one model:", found.losses[place])
for share, energies in zip(best.probabilities, best.captured, strict=True):
    print(f"  {share:.3f} of requests get {(problem.total - energies).round(4).tolist()}")
print("expected:", (problem.total - best.probabilities @ best.captured).round(4).tolist())
