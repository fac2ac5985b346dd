"""Records of a fit: what goes in comes out, and parts that do not fit each other are refused by name."""

import json

import pytest

from equipoise.core.records.fitted import fit_record_from_json, fit_record_to_json
from tests.report.fitted.constructed import curve, entrant, losses, record


@pytest.fixture
def whole():
    joint = entrant("joint", losses(0.8), curve=curve("ab"), weights={"a": 0.3, "b": 0.7}, settings={"width": "128"})
    separate = entrant("separate", {"a": [0.3, 0.3, 0.3, 0.3, None], "b": [0.3, 0.3, 0.3, 0.3, None]})
    return record(joint, separate, selected="joint")


def test_a_record_comes_back_as_it_was(whole):
    text = fit_record_to_json(whole)
    assert fit_record_from_json(text) == whole
    assert fit_record_to_json(fit_record_from_json(text)) == text


def test_failed_and_skipped_runs_are_counted(whole):
    assert (whole.failed, whole.skipped) == (1, 0)
    plain = json.loads(fit_record_to_json(whole))
    plain["entrants"][1]["runs"][0] |= {"status": "skipped", "reason": "No time was left."}
    assert fit_record_from_json(json.dumps(plain)).skipped == 1


def broken(path, value):
    """A change of one place of the record, as a person with an editor would make it."""

    def change(plain):
        place = plain
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


FIRST_RUN = ("entrants", 0, "runs", 0)
DAMAGES = {
    "an unknown task in the losses": (broken((*FIRST_RUN, "test", "c"), 0.1), "test names tasks that are not there"),
    "a missing loss": (broken((*FIRST_RUN, "test"), {"a": 0.1}), "test: one for every task"),
    "another seed": (broken((*FIRST_RUN, "seed"), 9), "runs: one for each of the seeds"),
    "doubled seeds": (broken(("seeds",), [0, 0, 2, 3, 4]), "seeds: all different, found twice: 0"),
    "an entrant that is not there": (broken(("selected", "a"), "boosting"), "selected: the name of an entrant"),
    "a failure without a reason": (broken(("entrants", 1, "runs", 4, "reason"), ""), "failed says why"),
    "a short curve": (broken((*FIRST_RUN, "curve", "val", "a"), [0.1]), "curve: one value a step"),
    "steps that fall": (broken((*FIRST_RUN, "curve", "steps", 3), 1), "curve.steps must rise"),
    "a newer format": (broken(("format",), 2), "Input should be 1"),
    "an unknown key": (broken(("winner",), "joint"), "Extra inputs are not permitted"),
    "no tasks": (broken(("tasks",), []), "at least one each"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_refused_by_name(whole, damage):
    change, words = DAMAGES[damage]
    plain = json.loads(fit_record_to_json(whole))
    change(plain)
    with pytest.raises(ValueError, match=words):
        fit_record_from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"title": NaN}', "[" * 100_000])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(ValueError, match=r"Expecting|be an object|finite|nested"):
        fit_record_from_json(text)
