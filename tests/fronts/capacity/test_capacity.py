"""The experiment on growing networks, with trainings of a few steps."""

import numpy as np
import pytest

from equipoise.audits.studies.tables import as_text, record_from_json, table_of
from equipoise.errors import EquipoiseError, SettingError
from equipoise.fronts.capacity.experiment import METHODS, _hidden, _lead, reproduce_capacity
from equipoise.fronts.capacity.problems import Digits

TINY = {"networks": ((2,), (3, 2)), "seeds": 1, "preferences": 2, "rates": (1e-2,), "steps": 2}


@pytest.fixture(scope="module")
def tiny():
    kept = {}
    return reproduce_capacity(None, **TINY, kept=kept), kept


def test_every_network_has_a_row_in_sample_and_one_held_out(tiny):
    record, kept = tiny
    assert [(row.network, row.part) for row in record.rows] == [
        (network, part) for network in ("2", "3-2") for part in ("in-sample", "held-out")
    ]
    assert list(kept) == ["digits, 2, seed 0", "digits, 3-2, seed 0"]
    # 64 inputs, then heads for ten digits and one angle
    assert [row.parameters for row in record.rows[::2]] == [64 * 2 + 2 + 3 * 11, 64 * 3 + 3 + 4 * 2 + 3 * 11]
    for row in record.rows:
        assert [end.method for end in row.ends] == [type(method).__name__ for method in METHODS]
        assert 0 <= row.sums.mean < 1
        assert row.sums.low is None  # one seed has no interval
    assert record.rows[0].ends[0].losses != record.rows[1].ends[0].losses


def test_what_is_finished_is_not_trained_again(tiny, monkeypatch):
    record, kept = tiny
    monkeypatch.setattr("equipoise.fronts.capacity.experiment.one_part", None)
    assert reproduce_capacity(None, **TINY, kept=dict(kept)) == record


def test_the_record_comes_back_and_has_a_table(tiny):
    record, _ = tiny
    assert record_from_json(record.model_dump_json(), "there") == record
    header, rows = table_of(record)
    assert len(rows) == len(record.rows)
    assert "sums ahead of NashMTL" in header
    assert "| digits | 3-2 |" in as_text(header, rows)


def test_leads_and_hidden_shares_of_points_known_by_hand():
    sums = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert _lead(sums, np.array([0.7, 0.7])) == pytest.approx(0.2)  # the chord's middle is (.5, .5)
    assert _lead(sums, np.array([0.3, 0.3])) == pytest.approx(-0.2)
    share, gap = _hidden(np.array([[0.0, 1.0], [1.0, 0.0], [0.7, 0.7], [0.9, 0.9]]))
    assert (share, gap) == (pytest.approx(1 / 3), pytest.approx(0.2))  # the last one is dominated


def test_digits_are_divided_before_they_are_turned_and_the_best_constants_lose_one():
    digits = Digits(0)
    rows = {part: len(x) for part, (x, _, _) in digits.rows.items()}
    assert sum(rows.values()) == 1797
    angle = np.concatenate([angles.numpy() for _, _, angles in digits.rows.values()])
    assert np.mean(angle**2) == pytest.approx(1, abs=0.05)
    labels = digits.rows["train"][1].numpy()
    shares = np.bincount(labels) / len(labels)
    assert -(shares @ np.log(shares)) / np.log(10) == pytest.approx(1, abs=0.01)


def test_bad_settings_and_a_failed_training(monkeypatch):
    with pytest.raises(SettingError, match="seeds=0"):
        reproduce_capacity(None, seeds=0)
    with pytest.raises(SettingError, match="problem"):
        reproduce_capacity(None, digits=False)
    monkeypatch.setattr("equipoise.fronts.capacity.experiment.one_part", lambda *call: "NonFiniteError: too fast")
    with pytest.raises(EquipoiseError, match="digits, 2, seed 0: NonFiniteError: too fast"):
        reproduce_capacity(None, **TINY)
