"""Slow refits on the rows themselves, scikit-learn's ridge and no moments: the oracle of losses on new rows."""

import numpy as np
from sklearn.linear_model import Ridge as RowRidge

from equipoise.linear.held_out.ridge import PENALTIES

TASKS = ("a", "b", "c")


def table(seed=0, rows=60, inputs=4, tasks=3, noise=1.5):
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(rows, inputs)) + 5.0
    return X, X @ generator.normal(size=(inputs, tasks)) + noise * generator.normal(size=(rows, tasks)) - 9.0


class Refit:
    """A training part of rows: predictions of separate models and of any shared layer, for any rows."""

    def __init__(self, X, Y, penalty):
        self.means, self.sizes = X.mean(axis=0), X.std(axis=0)
        self.level, self.units = Y.mean(axis=0), Y.std(axis=0)
        x, y = (X - self.means) / self.sizes, (Y - self.level) / self.units
        self.B = RowRidge(alpha=penalty * len(X)).fit(x, y).coef_.T
        # with the penalty as rows of its own, ridge is least squares
        longer = np.vstack([x, np.sqrt(penalty * len(X)) * np.eye(x.shape[1])])
        self.fitted = longer @ self.B / np.sqrt(len(X))
        self.unexplained = (y**2).mean(axis=0) - (self.fitted**2).sum(axis=0)

    def errors(self, X, Y, mix=None):
        predicted = (X - self.means) / self.sizes @ self.B @ (np.eye(len(self.units)) if mix is None else mix)
        return ((Y - self.level - predicted * self.units) ** 2).sum(axis=0)

    def equal(self, width):
        """Equal weights: the leading right singular vectors of the predictions, Baldi and Hornik (1989)."""
        kept = np.linalg.svd(self.fitted)[2][:width]
        return kept.T @ kept

    def projected(self, directions):
        """Any shared layer: least squares of the predictions on the features, by QR."""
        basis = np.linalg.qr(self.fitted @ directions)[0]
        return np.linalg.lstsq(self.fitted, basis @ basis.T @ self.fitted, rcond=None)[0]


def chosen(X, Y, labels, kept):
    """The penalty with the least mean loss by cross-validation inside the kept labels."""
    totals = []
    for penalty in PENALTIES:
        errors = np.zeros(Y.shape[1])
        for label in kept:
            train, test = np.isin(labels, [other for other in kept if other != label]), labels == label
            errors += Refit(X[train], Y[train], penalty).errors(X[test], Y[test])
        totals.append((errors / Y[np.isin(labels, kept)].var(axis=0)).mean())
    return PENALTIES[int(np.argmin(totals))]
