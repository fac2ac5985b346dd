r"""
Missing labels: twelve toxicity assays
======================================

The Tox21 challenge measured up to twelve assays on each of 7,831 molecules; about a sixth of the labels are missing,
and not the same ones in every row. One network for all assays uses all labels. Is it better than twelve?

The inputs are made from the molecule's formula as text: counts of its character n-grams, hashed into 96 columns. A
chemist's fingerprints would do better; this takes one line and no other package. To keep the page short it draws 2,000
of the molecules. Losses are log losses in nats on held-out molecules. Where the file is missing, the page uses made-up
molecules of the same shape: other numbers, the same steps.
"""

# %%
import os
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from rich.console import Console
from sklearn.feature_extraction.text import HashingVectorizer

from equipoise.report import render_fit_console
from equipoise.training.tables.fit_table import fit_table

try:
    root = Path(__file__).resolve().parents[2]
except NameError:  # the gallery runs pages from their own folder
    root = Path.cwd().resolve().parents[1]
path = Path(os.environ.get("EQUIPOISE_DATA", root.parent / "shared" / "data")) / "tox21" / "tox21.csv.gz"


def made_up(rows: int = 2000) -> pd.DataFrame:
    """Random strings whose letters decide twelve labels, a sixth of them missing."""
    generator = np.random.default_rng(0)
    letters = generator.choice(list("CNOSFc1=()"), size=(rows, 24))
    counts = np.stack([(letters == letter).sum(axis=1) for letter in "CNOSFc1=()"], axis=1)
    scores = counts @ generator.normal(size=(10, 12)) + generator.normal(size=(rows, 12))
    labels = (scores > np.quantile(scores, 0.9, axis=0)).astype(float)
    labels[generator.random(labels.shape) < 1 / 6] = np.nan
    table = pd.DataFrame(labels, columns=[f"assay {number}" for number in range(1, 13)])
    return table.assign(SMILES=["".join(row) for row in letters])


table = pd.read_csv(path).sample(2000, random_state=0) if path.is_file() else made_up()
assays = [name for name in table.columns if name not in ("SMILES", "mol_id", "rdkit_pass")]
print(f"{len(table)} molecules; labels: {table[assays].notna().mean().mean():.0%} of the cells")

# %%
# A group of 96 columns of counts, on a logarithmic scale. `HashingVectorizer` learns nothing, so it may see all rows;
# medians, ranges and the like are learned by the fit from its training rows alone.
hashed = HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=96, norm=None, alternate_sign=False)
counts = np.log1p(hashed.transform(table["SMILES"]).toarray())
inputs = pd.DataFrame(counts, columns=[f"gram {number}" for number in range(96)], index=table.index)
frame = pd.concat([inputs, table[assays].map(lambda label: None if np.isnan(label) else "ny"[int(label)])], axis=1)

# %%
# One network for all assays and twelve separate ones, with two seeds, each on its own split. A molecule whose label is
# missing counts for the other assays and has exactly no effect on this one.
fitted = fit_table(frame, targets=assays, seeds=2, epochs=10, hidden=(64, 64), baselines=("separate",), title="Tox21")
Console(width=120).print(render_fit_console(fitted.record))

# %%
# The held-out loss of each assay, as a mean over the seeds.
losses = {
    entrant.words: [np.mean([run.test[assay] for run in entrant.runs]) for assay in assays]
    for entrant in fitted.record.entrants
}
go.Figure([go.Bar(name=name, x=assays, y=values) for name, values in losses.items()]).update_layout(
    barmode="group",
    yaxis_title="log loss on held-out molecules, nats, mean of 2 seeds",
    legend={"orientation": "h", "y": 1.1},
)
