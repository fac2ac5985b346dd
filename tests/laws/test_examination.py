"""What the examination finds in methods that look right: each fault in a sentence that says what to write."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import equipoise as eq
from equipoise.errors import LawViolation
from equipoise.laws import check_method
from equipoise.methods import Answer, GramianMethod

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-method.md").read_text()


@dataclass(frozen=True)
class Mean(GramianMethod):
    """A mean with one fault at a time."""

    source = "test"
    cost = "none"
    fault: str = ""

    def weights(self, gramian, state, step):
        if self.fault == "raises":
            raise IndexError("row 7")
        count = len(gramian) if self.fault == "rows" else step.count
        dtype = torch.float32 if self.fault == "float32" else torch.float64
        return Answer(torch.full((len(gramian),), 1 / count, dtype=dtype), state)

    def claims(self, k):
        return frozenset({"permutation", "degree"})

    def degree(self):
        return 1.0


@dataclass(frozen=True)
class Several(Mean):
    """A mean with three faults."""

    cost = ""

    def weights(self, gramian, state, step):
        return Answer(torch.ones(len(gramian), dtype=torch.float32) / len(gramian), state)


def test_a_mean_over_all_tasks_passes():
    assert check_method(Mean(), sizes=(1, 3)).checks > 0


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("rows", "divide by step.count instead of len(gramian)"),
        ("float32", "must be returned in float64"),
        ("raises", "IndexError: row 7"),
    ],
)
def test_a_fault_is_named(fault, sentence):
    with pytest.raises(LawViolation) as found:
        check_method(Mean(fault), sizes=(2, 3))
    assert sentence in str(found.value)


def test_all_faults_are_named_at_once():
    with pytest.raises(LawViolation) as found:
        check_method(Several(), sizes=(2, 3))
    for sentence in ("cost must be stated", "must be returned in float64", "divide by step.count"):
        assert sentence in str(found.value)


@pytest.mark.parametrize("name", [name for name, kind in eq.methods.table.items() if issubclass(kind, GramianMethod)])
def test_no_method_of_the_table_is_taken_for_a_mean_over_rows(name):
    from equipoise.laws.examination import _zero_gradient

    assert list(_zero_gradient(eq.methods.table[name]())) == []


def test_the_page_names_every_law_and_every_heading():
    assert [name for name in eq.laws.laws if f"`{name}`" not in PAGE] == []
    headings = ("Shapes", "Scale", "Degenerate", "Cost", "Source", "Example")
    assert [heading for heading in headings if f"`{heading}:`" not in PAGE] == []
