"""Markdown and console: the same facts, with names as plain text."""

import io
import itertools
import subprocess
import sys

from markdown_it import MarkdownIt
from rich.console import Console

from equipoise.core.records.as_json import records_to_json
from equipoise.report import collect, render_console, render_markdown


def printed(record, width=120):
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False, markup=False).print(render_console(record))
    return stream.getvalue()


def test_the_console_shows_the_verdict_and_every_remedy(record_of):
    record = record_of()
    text = printed(record)
    assert record.verdicts[0].headline in text
    assert all(f"{rung.worst:.3f}" in text for rung in record.verdicts[0].ladder)
    assert "> one Tchebycheff" in text


def test_the_console_shows_a_row_a_width(record_of):
    text = printed(record_of(("a", "b", "c"), ("not_enough", "enough", "nothing_to_trade")))
    assert "Smallest shared width at which nothing is left to trade: 3." in text
    assert "Not enough" in text
    assert "Nothing to trade" in text


def test_the_console_obeys_no_name(record_of):
    text = printed(record_of(("[red]x[/red]", "\x1b[31my", "z")))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_markdown_holds_the_ladder_as_a_table(record_of):
    text = render_markdown(record_of())
    assert "| equal weights | 0.917 | joint0 | 0.817 joint0 | no | 1 model, width 1 | exact |" in text
    assert "**A weighted sum is not enough.**" in text


def test_markdown_tables_have_one_number_of_cells(record_of):
    text = render_markdown(record_of(("a|b", "c", "d"), ("not_enough", "enough")))
    tables = [block for block in text.split("\n\n") if block.startswith("| ")]
    assert len(tables) == 6
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.strip().splitlines()}) == 1


def test_markdown_names_are_text(record_of):
    text = render_markdown(record_of(("<img src=x onerror=alert(1)>", "*b*", "[c](http://evil.example)")))
    before_command = text.split("The command:")[0]
    assert "<img" not in before_command
    assert r"\*b\*" in before_command
    assert r"\[c\]" in before_command


def test_collect_gives_plain_values_and_clean_names(record_of):
    page = collect([record_of(("a\x1b[31m", "b", "c"))])
    assert page["cases"][0]["tasks"][0]["full"] == "a\\u001b[31m"
    assert page["cases"][0]["data"]["rows"].startswith("4,449 of 4,500 rows")


def test_a_report_is_drawn_without_what_computed_it(record_of):
    """The pictures hold their makers too, which import linear models only when they are called."""
    code = (
        "import sys; from equipoise.core.records.as_json import records_from_json as read; "
        "from equipoise.report import render_html; render_html(read(sys.stdin.read())); "
        "print([name for name in ('torch', 'scipy', 'pandas', 'sklearn') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        input=records_to_json([record_of()]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "[]"


def test_tasks_that_tie_for_the_worst_are_all_named(record_of):
    record = record_of()
    rungs = record.verdicts[0].ladder
    losses = [(0.917, 0.2, 0.9171), (0.708, 0.708, 0.708), (0.2, 0.3, 0.645)]
    ladder = tuple(rung.model_copy(update={"losses": loss}) for rung, loss in zip(rungs, losses, strict=False))
    verdict = record.verdicts[0].model_copy(update={"ladder": ladder})
    shown = collect([record.model_copy(update={"verdicts": (verdict,)})])["cases"][0]["sections"][0]["ladder"]
    assert [rung["beside_task"] for rung in shown] == ["joint0 and joint6", "all tasks", "joint6"]
    assert [rung["worst_indices"] for rung in shown] == [[0, 2], [0, 1, 2], [2]]


def test_the_console_shows_the_weights_that_its_words_speak_of(record_of):
    assert "Weights, best weights found: {'joint0': 0.3333, 'joint4': 0.3333, 'joint6': 0.3333}" in printed(record_of())


def test_the_summary_over_widths_is_the_records_own_where_it_has_one(record_of):
    record = record_of(("a", "b"), ("enough", "nothing_to_trade")).model_copy(update={"summary": "Width 2 will do."})
    for text in (printed(record), render_markdown(record)):
        assert "Width 2 will do." in text
        assert "Smallest shared width" not in text


def test_markdown_is_what_a_markdown_reader_takes_it_for(record_of):
    names = ("# a", "1. b", "2024) *c*|d")
    record = record_of(names, ("not_enough", "enough"))
    tokens = MarkdownIt("commonmark").enable("table").parse(render_markdown(record))
    after = itertools.pairwise(tokens)
    headings = [(token.tag, inside.content) for token, inside in after if token.type == "heading_open"]
    assert headings == [
        ("h1", record.title), ("h2", record.title), ("h3", "Shared width 1"), ("h3", "Shared width 2"),
        ("h3", r"Tasks of sarcos\_inv\_test.mat"), ("h2", "Words used here"),
    ]  # fmt: skip
    shown = [child.content for token in tokens if token.type == "inline" for child in token.children or ()]
    text = "".join(shown)
    assert "\\" not in text
    assert all(name in text for name in names)
    assert sum(token.type == "table_open" for token in tokens) == 6
    two = render_markdown([record, record])
    assert two.count("\n#### Tasks of") == 2


def of_excess(record, **more):
    """The record as today's audits write it, decided on excess losses."""
    verdicts = tuple(verdict.model_copy(update={"measure": "excess", **more}) for verdict in record.verdicts)
    return record.model_copy(update={"verdicts": verdicts})


def test_the_excess_stands_first_and_the_raw_loss_beside_it(record_of):
    record = of_excess(record_of())
    text = render_markdown(record)
    assert "| Remedy | Largest excess | | Largest loss | Closes" in text
    assert "| equal weights | 0.817 | joint0 | 0.917 joint0 | no | 1 model, width 1 | exact |" in text
    assert "largest excess stays 0.063 of variance above the best single model's" in text
    shown = collect([record])["cases"][0]["sections"][0]
    assert [rung["bar"] for rung in shown["ladder"]][:2] == ["81.70", "60.80"]
    assert shown["summary"]["best_weights"] == "0.608"
    assert "largest excess" in printed(record)


def test_records_of_versions_that_decided_on_raw_losses_say_so(record_of):
    """They hold no word on what they were decided on, and are shown as they were."""
    record = record_of()
    text = record.model_dump_json()
    assert '"measure":"loss"' in text
    old = type(record).model_validate_json(text.replace(',"measure":"loss"', ""))
    assert old == record
    assert "| Remedy | Worst task | | Above its own best | Closes" in render_markdown(old)
    assert "| equal weights | 0.917 | joint0 | 0.817 joint0 | no | 1 model, width 1 | exact |" in render_markdown(old)


def test_where_nothing_is_to_do_no_remedy_is_marked(record_of):
    record = of_excess(record_of(("a", "b"), ("enough", "nothing_to_trade")), remedy=None)
    sections = collect([record])["cases"][0]["sections"]
    assert [section["remedy"] for section in sections] == ["none needed"] * 2
    assert not any(rung["remedy"] for section in sections for rung in section["ladder"])
    assert "none needed" in printed(record)
