"""What arrays may be handed over as, and what is refused with a sentence: the same for every function on arrays."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

import equipoise as eq
from equipoise.errors import InputError

J = np.array([[1.0, 0.0], [0.0, 2.0]])
GOOD = {
    "list": J.tolist(),
    "tensor": torch.tensor(J, requires_grad=True),
    "half": torch.tensor(J, dtype=torch.bfloat16),
    "frame": pd.DataFrame(J),
    "frame of objects": pd.DataFrame(J.astype(object)),
    "list of tensors": [torch.tensor([1.0, 0.0], requires_grad=True), torch.tensor([0.0, 2.0])],
    "lists of scalars": [[torch.tensor(1.0, requires_grad=True), 0], [0, 2]],
    "integers": J.astype(int),
}
BAD = {
    "masked": (np.ma.masked_array(J, mask=J > 1), "must be a plain array; found a masked one"),
    "complex": (J + 1j, "must be real; found complex numbers"),
    "complex tensor": (torch.tensor(J + 1j), "must be real; found complex numbers"),
    "sparse": (csr_matrix(J), "must be a dense array; found a sparse one"),
    "sparse tensor": (torch.eye(2).to_sparse(), "must be a dense array; found a sparse one"),
    "text": ([["1", "2"], ["3", "4"]], "must be numbers; found text"),
    "frame of text": (pd.DataFrame({"a": ["1", "2"], "b": [1, 2]}), "must be numbers; found text"),
    "dates": (np.array([["2020-01-01"] * 2] * 2, dtype="M8[D]"), "must be numbers; found dates or times"),
    "ragged": ([torch.tensor([1.0, 0]), torch.tensor([0, 2.0, 3])], "must be numbers"),
    "gaps": (pd.DataFrame({"a": [1, pd.NA], "b": [1, 2]}), "must be numbers"),
    "dict": ({"a": 1}, "must be numbers"),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_array_gives_the_same(name):
    np.testing.assert_array_equal(eq.direction(eq.PCGrad(), GOOD[name]), [0.5, 1.0])
    np.testing.assert_allclose(eq.weights(eq.MGDA(), GOOD[name]), [2 / 3, 1 / 3])
    np.testing.assert_array_equal(eq.diagnose_gradients(GOOD[name]).cosines, np.eye(2))


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_array_of_real_numbers_is_refused_by_what_it_is(name):
    values, words = BAD[name]
    for call in (
        lambda: eq.direction(eq.PCGrad(), values),
        lambda: eq.weights(eq.MGDA(), values),
        lambda: eq.weights(eq.MGDA(), J, losses=values),
        lambda: eq.diagnose_gradients(values),
        lambda: eq.diagnose_gradients(J, weights=values),
        lambda: eq.linear.LinearProblem(np.eye(4)[:, :2], values),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_an_audit_takes_two_arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    Y = X @ rng.normal(size=(3, 3)) + rng.normal(size=(60, 3))
    frame = pd.DataFrame(np.hstack([X, Y]), columns=["x0", "x1", "x2", "y0", "y1", "y2"])
    expected = eq.audit(frame, targets=["y0", "y1", "y2"], width=3)
    named = pd.DataFrame(Y, columns=["y0", "y1", "y2"])
    for record in (
        eq.audit(X, Y, width=3),
        eq.audit(torch.tensor(X), named, width=3),
        eq.audit(X.tolist(), Y, width=3),
    ):
        assert record.tasks == expected.tasks
        assert record.verdicts == expected.verdicts
    assert record.data.columns[0].name == "x0"
    with pytest.raises(InputError, match="the same rows, found 60 and 59"):
        eq.audit(X, Y[:-1])
    with pytest.raises(InputError, match="two arrays have no columns to name; 'targets' belong"):
        eq.audit(X, Y, targets=["y0"])
    with pytest.raises(InputError, match="the inputs must be a plain array; found a masked one"):
        eq.audit(np.ma.masked_array(X), Y)
    with pytest.raises(InputError, match="two or more tasks"):
        eq.audit(X, Y[:, 0])
