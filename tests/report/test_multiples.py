"""Many tasks: panels that can be read, tables that stay short, a page of bounded size."""

import itertools

import numpy as np
import pytest
from bs4 import BeautifulSoup

from equipoise.audits.pictures.catalogue import read_picture
from equipoise.report import render_html
from equipoise.report.audit.choosing import MOST_SECTIONS, MOST_TASKS, recommended
from equipoise.report.audit.html import LARGEST
from equipoise.report.pictures.correlations import correlation_table
from equipoise.report.pictures.multiples import MOST_ROWS, multiples
from equipoise.report.pictures.names import short_names

MANY = tuple(f"t{number}" for number in range(60))


def test_each_panel_holds_the_losses_of_its_remedy_and_the_tasks_own_best(record_of):
    names = ("a", "b", "c", "d", "e")
    verdict = record_of(names).verdicts[0]
    panels = multiples(verdict, names)
    for panel, kind in zip(panels, ("equal weights", "best weights", "tchebycheff", "mixture"), strict=True):
        (point,) = (point for point in verdict.front if point.kind == kind)
        band, own, found = panel["figure"]["data"]
        assert found["x"] == pytest.approx(point.losses, rel=1e-5)
        assert own["x"] == [0.1] * 5
        sums = np.array([p.losses for p in verdict.front if p.kind == "weighted sum"])
        for task in range(5):
            low, high = band["x"][3 * task : 3 * task + 2]
            inside = (sums[:, task] >= low - 1e-6) & (sums[:, task] <= high + 1e-6)
            assert 0.89 <= inside.mean() <= 0.93
    scales = [panel["figure"]["layout"]["xaxis"]["range"] for panel in panels]
    assert all(scale == scales[0] for scale in scales)
    assert scales[0][1] >= max(max(p.losses) for p in verdict.front if p.kind in {"equal weights", "mixture"})


def test_of_very_many_tasks_those_furthest_above_their_own_best_are_drawn_and_it_is_said(record_of):
    record = record_of(MANY)
    verdict = record.verdicts[0]
    panel = multiples(verdict, MANY)[0]
    drawn = panel["figure"]["layout"]["yaxis"]["ticktext"]
    assert len(drawn) == MOST_ROWS
    assert panel["note"] == f"The {MOST_ROWS} of 60 tasks furthest above their own best."
    marked = [
        point for point in verdict.front if point.kind in {"equal weights", "best weights", "tchebycheff", "mixture"}
    ]
    excess = np.max([point.losses for point in marked], axis=0) - 0.1
    kept = {name for name in MANY if name in drawn}
    assert min(excess[MANY.index(name)] for name in kept) >= max(excess[i] for i, n in enumerate(MANY) if n not in kept)
    soup = BeautifulSoup(render_html(record), "html.parser")
    assert len(soup.find("table", class_="losses").tbody.find_all("tr")) == MOST_TASKS
    assert f"Shown are the {MOST_TASKS} of 60" in " ".join(
        soup.find("table", class_="losses").caption.get_text().split()
    )
    assert soup.find("table", class_="tasks").find_parent("details") is not None


def test_of_very_many_tasks_the_strongest_correlations_are_listed(record_of):
    record = record_of(MANY)
    table = correlation_table(record)
    every = sorted(record.tasks[i].correlations[j] for i, j in itertools.combinations(range(60), 2))
    assert table["of"] == "1,770"
    assert [pair["value"] for pair in table["pairs"][:1]] == ["−0.20"]
    assert len(table["pairs"]) == 20
    assert [pair["value"] for pair in table["pairs"][-10:]] == ["+0.31"] * 10
    assert every[0] == -0.2


def widened(record, count):
    """The same verdict at many widths."""
    (verdict,) = record.verdicts
    verdicts = tuple(
        verdict.model_copy(update={"about": verdict.about.model_copy(update={"width": width})})
        for width in range(1, count + 1)
    )
    return record.model_copy(update={"verdicts": verdicts})


def test_a_page_of_300_tasks_at_300_widths_stays_below_its_limit_and_says_what_it_left_out(record_of):
    names = tuple(f"a rather long name of a task, number {number}" for number in range(300))
    page = render_html(widened(record_of(names), 300))
    assert len(page.encode()) <= LARGEST
    soup = BeautifulSoup(page, "html.parser")
    assert len(soup.find_all("section", class_="verdict")) == MOST_SECTIONS
    assert f"Told in full: {MOST_SECTIONS} of 300 widths." in " ".join(soup.get_text().split())
    assert len(soup.find("table", class_="widths").tbody.find_all("tr")) == 300


def test_pictures_are_left_out_where_the_page_would_be_too_large(record_of, monkeypatch):
    record = widened(record_of(("a", "b", "c", "d"), ("enough",)), 6)
    whole = render_html(record)
    monkeypatch.setattr("equipoise.report.audit.html.LARGEST", len(whole.encode()) - 1)
    soup = BeautifulSoup(render_html(record), "html.parser")
    first, *others = soup.find_all("section", class_="verdict")
    assert first.select("figure.front .plot")
    assert others
    assert all("Not drawn here" in section.get_text() and not section.select(".plot") for section in others)


def test_the_width_that_the_first_remedy_asks_for_is_recommended(record_of):
    record = record_of(("a", "b", "c", "d"), ("not_enough", "enough", "enough", "nothing_to_trade"))
    ladder = record.verdicts[0].ladder
    wider = next(place for place, rung in enumerate(ladder) if rung.kind == "wider")
    apart = next(place for place, rung in enumerate(ladder) if rung.kind == "separate")

    def with_remedy(remedy):
        first = record.verdicts[0].model_copy(update={"remedy": remedy})
        return record.model_copy(update={"verdicts": (first, *record.verdicts[1:])})

    assert recommended(with_remedy(wider)) == 1
    assert recommended(with_remedy(apart)) == 1
    assert recommended(record_of(("a", "b", "c", "d"), ("enough", "enough"))) == 0
    assert recommended(record_of(("a", "b", "c", "d"), ("not_enough", "undetermined"))) == 0


def test_a_large_graph_shows_the_tasks_in_conflict_only():
    tasks = [f"t{number}" for number in range(12)]
    edges = [
        {
            "from": a,
            "to": b,
            "correlation": -0.5 if (a, b) == ("t1", "t4") else 0.4,
            "on_cycle": {a, b} <= {"t1", "t4", "t9"},
        }
        for a, b in itertools.combinations(tasks, 2)
    ]
    record = {
        "figure": "conflict graph", "tasks": tasks, "width": 1, "edges": edges, "cycle": ["t1", "t4", "t9"],
        "margin": 0.4, "status": "fails", "matrix": "correlations", "least": 0.02,
    }  # fmt: skip
    (panel,) = read_picture("conflict", record).panels()
    lines = [trace for trace in panel["figure"]["data"] if trace["mode"] == "lines"]
    assert len(lines) == 3
    assert "9 others left out" in panel["note"]
    calm_record = {**record, "cycle": [], "edges": [edge | {"on_cycle": False} for edge in edges]}
    (calm,) = read_picture("conflict", calm_record).panels()
    assert sum(trace["mode"] == "lines" for trace in calm["figure"]["data"]) == 12
    assert "12 strongest" in calm["note"]


def test_short_names_stay_apart():
    names = ["x" * 50 + "1" + "y" * 50, "x" * 50 + "2" + "y" * 50, "z"]
    short = short_names(names, 20)
    assert len(set(short)) == 3
    assert all(len(name) <= 20 for name in short)
