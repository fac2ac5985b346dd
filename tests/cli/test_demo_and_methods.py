"""``equipoise demo`` shows both answers; ``equipoise methods`` shows every method."""

import json

import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

from equipoise.audits.run_folder import read_config, read_records
from equipoise.cli.app import app
from equipoise.methods import table as methods_table


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, run once: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = CliRunner().invoke(app, ["demo", "-q", "-o", str(folder)])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return folder, done.stdout


def test_the_demo_shows_both_verdicts_by_a_margin_one_can_see(demo):
    enough, not_enough = read_records(demo[0])
    assert enough.verdicts[0].status == "enough"
    assert not_enough.verdicts[0].status == "not_enough"
    assert len(not_enough.tasks) >= 3
    assert not_enough.verdicts[0].condition.margin >= 0.1
    assert not_enough.verdicts[0].effect.balanced_gap >= 0.05


def test_the_demo_puts_both_cases_on_one_page(demo):
    folder, printed = demo
    assert printed.splitlines()[-1] == str(folder / "report.html")
    soup = BeautifulSoup((folder / "report.html").read_text(), "html.parser")
    assert soup.h1.string == read_config(folder).title
    assert len(soup.find_all("article")) == 2


def test_the_command_shown_with_a_case_of_the_demo_repeats_it(demo, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for record in read_records(demo[0]):
        again = run(*record.command.split()[1:], "--json", "-q")
        assert json.loads(again.stdout)["verdicts"] == record.model_dump(mode="json")["verdicts"]


def test_the_demo_again_and_report_render_the_same(demo, run):
    folder, printed = demo
    page = (folder / "report.html").read_bytes()
    assert run("demo", "-q", "-o", folder).stdout == printed
    assert run("report", folder).exit_code == 0
    assert (folder / "report.html").read_bytes() == page


def test_every_method_is_listed_with_what_it_needs(run):
    done = run("methods")
    assert done.exit_code == 0, done.exception
    assert all(kind.__name__ in done.stdout for kind in methods_table.values())
    assert "no_conflict          a step along the direction raises no loss to first order: <g_i, d> >= 0" in done.stdout
    facts = json.loads(run("methods", "--json").stdout)
    assert [fact["name"] for fact in facts] == sorted(methods_table)
    for fact in facts:
        assert fact["does"]
        assert fact["cost"]
        assert fact["source"]
        assert fact["needs"] in {"losses", "gramian", "jacobian", "features"}
        assert fact["clock"] in {"step", "epoch"}


def test_one_method_is_shown_in_full(run):
    done = run("methods", "mgda")
    assert done.exit_code == 0
    assert "MGDA(" in done.stdout
    assert "no_conflict: a step along the direction raises no loss to first order: <g_i, d> >= 0" in done.stdout
    assert "⟨g_i, d⟩" in done.stdout
    assert "\\" not in done.stdout
    assert "Desideri" in done.stdout


def test_an_unknown_method_is_refused_with_the_closest(run):
    done = run("methods", "mgdaa")
    assert done.exit_code == 2
    assert "Closest: 'mgda'" in done.stderr
    assert "equipoise methods" in done.stderr
