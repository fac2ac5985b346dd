"""``equipoise report`` on edited folders and odd numbers: a sentence or a page, never an internal error."""

import json
import re

import pytest
import torch
from torch import nn

import equipoise as eq


def recorded(folder, scale=lambda step: 1.0, names=("a", "b")):
    torch.manual_seed(0)
    net = nn.Linear(3, 2, dtype=torch.float64)
    balancer = eq.Balancer(eq.LinearScalarization(), tasks=names)
    recorder = eq.record(balancer, folder, every=1)
    for step in range(6):
        out = net(torch.ones(4, 3, dtype=torch.float64))
        losses = {names[0]: out[:, 0].square().mean() * scale(step), names[1]: (out[:, 1] - 1).square().mean()}
        balancer(losses).backward()
    recorder.close()
    return folder


def edit_lines(run, **values):
    first, *rest = [json.loads(line) for line in (run / "records.jsonl").read_text().splitlines()]
    lines = [first, *({**line, **values} for line in rest)]
    (run / "records.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


GRADIENTS = {
    "at": "shared parameters", "measured": "by the method", "norms": [1.0, 1.0], "shares": None, "to_update": None,
    "cosines": None, "conflicting": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"weights": [1.0]}, "weights holds 1"),
        ({"weighted_losses": [1.0, 2.0, 3.0]}, "weighted_losses holds 3"),
        ({"gradients": {**GRADIENTS, "norms": [1.0]}}, "gradients.norms holds 1"),
        ({"gradients": {**GRADIENTS, "to_update": []}}, "gradients.to_update holds 0"),
        ({"gradients": {**GRADIENTS, "cosines": [0.1, 0.2]}}, "gradients.cosines holds 2"),
    ],
)
def test_vectors_of_another_length_are_refused_by_name(run, tmp_path, values, named):
    edit_lines(recorded(tmp_path / "run"), **values)
    done = run("report", tmp_path / "run")
    assert done.exit_code == 2
    assert "line 2 of records.jsonl" in done.stderr
    assert named in done.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '{"every":' + "9" * 5000 + "}", '{"a": 1e999}', '{"a": NaN}', "\x00"])
def test_a_configuration_that_no_reader_takes_is_refused(run, tmp_path, text):
    (recorded(tmp_path / "run") / "config.json").write_text(text)
    done = run("report", tmp_path / "run")
    assert done.exit_code == 2
    assert "not written by equipoise" in done.stderr


def test_losses_at_the_ends_of_the_numbers_are_drawn(run, tmp_path):
    for name, scale in (
        ("low", lambda step: 10.0 ** -(62 * step)),
        ("wide", lambda step: 10.0 ** (154 * (-1) ** step)),
    ):
        folder = recorded(tmp_path / name, scale)
        done = run("report", folder)
        assert done.exit_code == 0, done.stderr
        figures = [json.loads(text) for text in re.findall(
            r'class="figure"[^>]*>(.*?)</script>', (folder / "report.html").read_text(), re.DOTALL
        )]  # fmt: skip
        axes = [figure["layout"]["yaxis"] for figure in figures]
        decades = [axis["dtick"] for axis in axes if axis.get("type") == "log"]
        assert max(decades) >= 50  # 310 decades over six ticks


def test_a_name_that_no_file_can_hold_is_refused_when_the_recording_begins(tmp_path):
    with pytest.raises(eq.errors.TaskError, match=r"'\\ud800'"):
        recorded(tmp_path / "run", names=("\ud800", "b"))


def set_at(tree, path, value):
    *inner, last = path
    for key in inner:
        tree = tree[key]
    tree[last] = value


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("verdicts", 0, "remedy"), 99, "verdicts.0.remedy"),
        (("verdicts", 0, "ladder"), [], "verdicts.0.remedy"),
        (("verdicts", 0, "ladder", 0, "losses"), [0.1], "ladder.0.losses"),
        (("verdicts", 0, "ladder", 0, "weights"), [0.1], "ladder.0.weights"),
        (("verdicts", 0, "front", 3, "losses"), [], "front.3.losses"),
        (("tasks", 1, "correlations"), [1.0], "tasks.1.correlations"),
        (("verdicts",), [], "at least one"),
        (("title",), "\ud800", "record.json"),
        (("verdicts", 0, "effect", "balanced_gap"), float("nan"), "finite"),
        (("verdicts", 0, "ladder", 0, "worst"), float("inf"), "finite"),
        (("pictures", "spectrum"), {"figure": "spectrum"}, "pictures"),
        (("pictures", "spectrum"), {"figure": "portrait"}, "pictures"),
        (("pictures", "spectrum", "captured", 0), [1.0], "pictures.spectrum.captured"),
        (("pictures", "region", "1", "models", "losses", 0), [1.0], "pictures.region.1.models"),
        (("pictures", "region", "1", "tasks"), ["a"], "pictures.region.1.tasks"),
    ],
)
def test_an_audit_whose_parts_do_not_fit_is_refused_by_name(run, audited, path, value, named):
    record = json.loads((audited / "record.json").read_text())
    set_at(record, path, value)
    (audited / "record.json").write_text(json.dumps(record))
    before = (audited / "report.html").read_bytes()
    done = run("report", "out")
    assert done.exit_code == 2, done.exception
    assert named in done.stderr
    assert "--overwrite" in done.stderr
    assert (audited / "report.html").read_bytes() == before


def test_nesting_beyond_reason_in_a_record_is_refused(run, audited):
    (audited / "record.json").write_text("[" * 100_000)
    done = run("report", "out")
    assert done.exit_code == 2
    assert "nested too deep" in done.stderr
