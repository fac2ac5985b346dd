"""The page of a recorded training: true numbers, complete in itself, deaf to hostile names."""

import base64
import hashlib
import itertools
import json
import re

import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

from equipoise.cli.app import app
from equipoise.core.records.training import GradientLine, Notice, StepLine, TrainingConfig, TrainingRecord, read_lines
from equipoise.report.training.collect import collect_training
from equipoise.report.training.figures import training_panels
from equipoise.report.training.render import render_training_html, render_training_markdown
from equipoise.training.recording.folder import write_config

HOSTILE = ("</script><img src=x onerror=alert(1)>", "a\x1b[31m\u202eb", "{{ 7*7 }}", "ink")


def make_config(tasks, method="OMDTchebycheff(step_size=0.5)"):
    return TrainingConfig(
        method=method, kind="loss method", tasks=tasks, heads="weighted", scale="mean", nonfinite="raise", every=50,
        gradients=50, versions={"equipoise": "0.1.0", "torch": "2.13.0"},
    )  # fmt: skip


def make_line(step, k, *, shares=None, absent=()):
    def vector(value):
        return tuple(None if task in absent else value(task) for task in range(k))

    return StepLine(
        step=step, seconds=step / 100, step_seconds=0.01, balancer_seconds=0.0002, record_seconds=step / 100 * 0.005,
        raw_losses=vector(lambda task: (task + 1) / step), weighted_losses=vector(lambda task: 0.1 / step),
        weights=vector(lambda task: 1 / k + 0.001 * step * task),
        gradients=GradientLine(
            at="shared parameters", measured="by the record", norms=vector(lambda task: 10.0**-task),
            shares=shares or vector(lambda task: 1 / k), to_update=vector(lambda task: -0.5 if task else 0.9),
            cosines=(-0.25,) * (k * (k - 1) // 2), conflicting=1.0,
        ),
        status="SOLVED", certificate=0.0, counts={"SOLVED": step - 1, "propagated": 1},
    )  # fmt: skip


def make_record(tasks, steps=(1, 50, 100), **more):
    lines = tuple(make_line(step, len(tasks), **more) for step in steps)
    return TrainingRecord(config=make_config(tasks), lines=lines, torn=False, replaced=0)


@pytest.fixture
def record():
    return make_record(("depth", "normals", "rotation"), shares=(0.7, 0.2995, 0.0005))


@pytest.fixture
def soup(record):
    return BeautifulSoup(render_training_html(record), "html.parser")


def text_of(soup):
    copy = BeautifulSoup(str(soup), "html.parser")
    for element in copy(["script", "style"]):
        element.decompose()
    return re.sub(r"\s+", " ", copy.get_text(" "))


def test_the_same_record_gives_the_same_bytes(record):
    assert render_training_html(record) == render_training_html(record)


def test_the_table_shows_each_task_in_its_own_unit(soup):
    rows = [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in soup.find("table", class_="training").tbody.find_all("tr")
    ]
    # losses (task + 1) / step, weights 1/3 + 0.001 step task, norms 10^-task, at the steps 1, 50, 100
    assert rows[0] == ["depth", "1", "0.01", "0.01", "0.333", "1", "70.0 %", "0 %", "n/a", "100 %"]
    assert rows[2] == ["rotation", "3", "0.03", "0.03", "0.335 to 0.533", "0.01", "<0.1 %", "100 %", "n/a", "100 %"]


def test_notices_stand_first_with_what_to_do(soup):
    assert soup.h1.get_text() == "A task hardly takes part."
    notice = soup.find("section", class_="notice").get_text(" ", strip=True)
    assert "'rotation' made up less than 0.1 % of the update" in notice
    assert "What to do." in notice


def test_a_run_without_doubts_says_so():
    page = collect_training(make_record(("a", "b")))
    assert page["notices"] == []
    assert page["badge"] == "No doubts"


def test_notices_of_comparisons_are_shown_too(record):
    found = Notice(kind="identical runs", subject="b", words="Runs a and b are the same.", remedy="Look.")
    page = collect_training(record, [found])
    assert [notice["title"] for notice in page["notices"]] == ["A task hardly takes part", "Another run is the same"]


def test_counts_are_those_of_all_steps_with_their_meaning(soup):
    rows = [row.get_text(" ", strip=True) for row in soup.find("table", class_="counts").tbody.find_all("tr")]
    assert rows[0].startswith("solved solved 99 99 %")
    assert rows[1].startswith("propagated a loss or gradient was not finite")
    assert rows[1].endswith("1 1 %")


def test_time_is_told_in_shares_of_a_step(soup):
    text = text_of(soup)
    assert "A step of the loop took 10 ms" in text
    assert "0.2 ms, 2 % of it" in text
    assert "Recording took 0.5 % of the time" in text


def test_every_quantity_has_a_picture_that_is_described(soup):
    names = [heading.get_text() for heading in soup.select(".panel h3")]
    assert names == [
        "Losses, unweighted", "Weights", "Losses, weighted", "Size of the gradients", "Share of the update",
        "Cosines between the tasks", "Cosine to the update",
    ]  # fmt: skip
    for plot in soup.find_all(attrs={"role": "img"}):
        assert "depth" in plot["aria-label"]
        assert "from" in plot["aria-label"]


def test_the_lines_drawn_are_the_numbers_of_the_record(soup, record):
    figure = json.loads(soup.find("script", attrs={"data-for": "figure-1"}).string)
    assert [trace["x"] for trace in figure["data"]] == [[1, 50, 100]] * 3
    assert figure["data"][1]["y"] == [line.raw_losses[1] for line in record.lines]
    pairs = json.loads(soup.find("script", attrs={"data-for": "figure-6"}).string)
    assert [trace["name"] for trace in pairs["data"]] == [
        "depth and normals",
        "depth and rotation",
        "normals and rotation",
    ]


@pytest.mark.parametrize("k", [1, 2, 5, 9, 40])
def test_any_number_of_tasks_is_drawn(k):
    record = make_record(tuple(f"task {i}" for i in range(k)))
    soup = BeautifulSoup(render_training_html(record), "html.parser")
    assert len(soup.select("table.training tbody tr")) == k
    kinds = {trace["type"] for figure in soup.select("script.figure") for trace in json.loads(figure.string)["data"]}
    assert kinds <= ({"scatter"} if k <= 8 else {"scatter", "heatmap"})


def test_long_runs_are_thinned_and_keep_their_last_point():
    record = make_record(("a", "b"), steps=range(1, 2002))
    soup = BeautifulSoup(render_training_html(record), "html.parser")
    steps = json.loads(soup.find("script", attrs={"data-for": "figure-1"}).string)["data"][0]["x"]
    assert len(steps) < 402
    assert steps[-1] == 2001


def test_a_run_that_has_not_begun_has_a_page():
    record = TrainingRecord(config=make_config(("a", "b")), lines=(), torn=True, replaced=0)
    text = text_of(BeautifulSoup(render_training_html(record), "html.parser"))
    assert "No step has been recorded yet." in text
    assert "cut off" in text


def test_absent_tasks_and_methods_without_weights_have_a_page():
    line = make_line(1, 2, absent=(1,)).model_copy(update={"weights": None, "weighted_losses": None, "gradients": None})
    record = TrainingRecord(config=make_config(("a", "b")), lines=(line,), torn=False, replaced=0)
    soup = BeautifulSoup(render_training_html(record), "html.parser")
    assert [heading.get_text() for heading in soup.select(".panel h3")] == ["Losses, unweighted"]
    assert "0 %" in soup.select("table.training tbody tr")[1].get_text()


def test_hostile_names_stay_text():
    page = render_training_html(make_record(HOSTILE))
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all("img")
    assert "<img src=x" not in page
    assert "{{ 7*7 }}" in text_of(soup)
    assert "\x1b" not in page
    assert "\u202e" not in page
    for figure in soup.select("script.figure"):
        assert "<" not in figure.string
    assert "<img" not in render_training_markdown(make_record(HOSTILE))


def test_the_page_loads_nothing_and_runs_only_its_own_scripts(soup, scripts_of):
    policy = soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert "default-src 'none'" in policy
    digests = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts_of(soup)}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == digests
    assert not soup.find_all(["link", "iframe", "img", "form"])
    assert not soup.find_all(src=True)


def test_tables_are_scoped_and_headings_in_order(soup):
    levels = [int(heading.name[1]) for heading in soup.find_all(re.compile("^h[1-6]$"))]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for table in soup.find_all("table"):
        assert table.caption is not None
        assert all(cell.get("scope") in {"row", "col"} for cell in table.find_all("th"))


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def folder(tmp_path, record):
    path = tmp_path / "run"
    write_config(path, record.config)
    (path / "records.jsonl").write_text("".join(line.model_dump_json() + "\n" for line in record.lines))
    return path


def test_a_record_survives_the_disk(folder, record):
    assert read_lines(record.config, (folder / "records.jsonl").read_bytes()) == record


def test_equipoise_report_renders_such_a_folder(folder, record):
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(folder / "report.html")
    assert "less than 0.1 % of the update" in re.sub(r"\s+", " ", done.stdout)
    assert (folder / "report.html").read_text() == render_training_html(record)


def test_markdown_and_json_come_from_the_same_record(folder, record):
    markdown = CliRunner().invoke(app, ["report", str(folder), "--markdown"]).stdout
    assert markdown == render_training_markdown(record)
    assert not (folder / "report.html").exists()
    printed = CliRunner().invoke(app, ["report", str(folder), "--json"]).stdout
    start, end = printed.index("{"), printed.rindex("}") + 1
    assert TrainingRecord.model_validate_json(printed[start:end]) == record


def test_a_sibling_that_trained_the_same_is_found(folder, record):
    sibling = folder.parent / "other"
    write_config(sibling, make_config(record.config.tasks, "CAGrad(c=0.4)"))
    (sibling / "records.jsonl").write_bytes((folder / "records.jsonl").read_bytes())
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "config.json").write_text("{")
    done = CliRunner().invoke(app, ["report", str(folder), "--markdown"])
    assert "same losses to the last bit at all 3 common recorded steps" in done.stdout


def test_a_damaged_folder_is_refused_with_exit_code_2(folder):
    (folder / "records.jsonl").write_text("{}\n")
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 2
    assert "line 1 of records.jsonl" in done.output


def test_a_few_steps_are_named_one_by_one_and_every_task_of_a_map_has_its_label():
    few = training_panels(make_record(("a", "b"), steps=(1, 50, 100)))
    assert all(panel["figure"]["layout"]["xaxis"]["tickvals"] == [1, 50, 100] for panel in few)
    many = training_panels(make_record(("a", "b"), steps=tuple(range(1, 50, 5))))
    assert all("tickvals" not in panel["figure"]["layout"]["xaxis"] for panel in many)
    (wide, *_) = training_panels(make_record(tuple(f"t{number}" for number in range(30))))
    assert wide["figure"]["layout"]["yaxis"]["nticks"] == 30
    assert wide["height"] >= 30 * 15


def test_the_pairs_have_a_legend_beside_their_plot(soup):
    (panel,) = (part for part in soup.find_all(class_="panel") if part.h3.string == "Cosines between the tasks")
    names = [entry.get_text().strip() for entry in panel.find(class_="legend").find_all("li")]
    assert names == ["depth and normals", "depth and rotation", "normals and rotation"]
    assert '"showlegend":true' not in panel.find("script").string
