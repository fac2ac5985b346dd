r"""
6. Networks, and rows that nobody trained on
============================================

Everything so far is about linear models and the rows that they were fitted to. Two steps lead away from there, and
neither is covered by a theorem.
"""

# %%
# **New rows.** A model that fits its rows better need not predict others better. An audit therefore fits every remedy
# on nine tenths of the rows and measures it on the rest, ten times, with intervals from a block jackknife; no theorem
# says which remedy wins there. On the built-in diabetes table, three targets:
import matplotlib.pyplot as plt

import equipoise as eq

found = eq.audit("diabetes", width=1)
(verdict,) = found.verdicts
rungs = [rung for rung in verdict.ladder if rung.new_rows is not None]
targets = ", ".join(task.name for task in found.tasks)
print(f"in-sample: {verdict.status}; {found.data.rows} rows, targets {targets}")
figure, axes = plt.subplots(figsize=(7, 0.6 * len(rungs) + 1.4), layout="constrained")
for row, rung in enumerate(rungs):
    new = rung.new_rows
    axes.plot(new.interval, [row, row], color="#D55E00", linewidth=2, label="on new rows, 95 %" if row == 0 else None)
    axes.plot(new.largest, row, "o", color="#D55E00")
    axes.plot(rung.worst_excess, row, "s", color="#0072B2", label="in-sample" if row == 0 else None)
axes.set_yticks(range(len(rungs)), [rung.words for rung in rungs])
axes.invert_yaxis()
axes.set_xlabel("largest excess over separate models")
axes.legend(fontsize=8)
plt.show()

# %%
# **Networks.** A network's tasks share more than a linear layer, and training does not find the best model. What
# carries over is the question, not the answer. Three ways to ask it of a network:
#
# - :func:`equipoise.audit_features` audits the features that its heads read: a linear question, answered exactly, about
#   that network only.
# - :func:`equipoise.linear.audit_runs` takes the final losses of runs that exist and says which of them no weighted sum
#   would choose. That is a fact about those runs, with no theory of how they were made.
# - ``equipoise explore`` trains the runs and draws the front with its seeds.
#
# As the shared part grows, trade-offs on the training rows vanish (see the gallery's page on wide networks). On new
# rows they need not.
