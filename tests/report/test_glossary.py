"""The words of a report are explained on it, and only those that it uses."""

import io

from markupsafe import escape
from rich.console import Console

from equipoise.report import collect, render_console, render_html, render_markdown


def terms(record):
    return [entry["term"] for entry in collect([record])["glossary"]]


def test_terms_that_the_page_uses_are_explained_near_its_end(record_of):
    record = record_of()
    assert {"shared layer", "Tchebycheff", "mixture of models", "conflict"} <= set(terms(record))
    html, markdown = render_html(record), render_markdown(record)
    for entry in collect([record])["glossary"]:
        assert str(escape(entry["words"])) in html
        assert f"**{entry['term']}**" in markdown
    assert html.index("The command") < html.index("Words used here") < html.index("<footer>")


def test_terms_that_the_page_does_not_use_are_not_explained(record_of):
    record = record_of(("a", "b"), ("enough",))
    (verdict,) = record.verdicts
    plain = verdict.model_copy(
        update={"words": verdict.headline, "ladder": verdict.ladder[:1], "remedy": 0, "front": ()}
    )
    found = terms(record.model_copy(update={"verdicts": (plain,)}))
    assert "weighted sum" in found
    assert "conflict" not in found
    assert "separate models" not in found


def test_names_of_a_table_are_no_terms(record_of):
    record = record_of(("in conflict", "b"), ("enough",))
    (verdict,) = record.verdicts
    calm = verdict.model_copy(update={"words": verdict.headline, "front": ()})
    assert "conflict" not in terms(record.model_copy(update={"verdicts": (calm,)}))


def test_the_first_screen_says_what_a_width_is(record_of):
    assert collect([record_of()])["cases"][0]["sections"][0]["about"].endswith(
        "width 1, that is one number computed from the inputs, which all tasks read"
    )


def test_weights_that_cannot_be_hit_are_called_enough_in_theory_only(record_of):
    record = record_of(("a", "b"), ("enough", "nothing_to_trade"))
    one, two = record.verdicts
    theory = record.model_copy(update={"verdicts": (one.model_copy(update={"remedy": 2}), two)})
    case = collect([theory])["cases"][0]
    assert case["overall"][0] == "Width 1: a weighted sum is enough in theory only."
    assert [section["badge"] for section in case["sections"]] == ["Enough in theory only", "Nothing to trade"]
    assert collect([record])["cases"][0]["overall"][0] == "Width 1: a weighted sum is enough."


def test_weights_are_shown_as_they_are_written(record_of):
    record = record_of(("a", "b", "c"))
    (verdict,) = record.verdicts
    rung = verdict.ladder[1].model_copy(
        update={"weights": (0.209, 0.79, 0.001), "written_weights": (0.209, 0.79, 0.001), "weight_digits": 2}
    )
    ladder = (verdict.ladder[0], rung, *verdict.ladder[2:])
    shown = record.model_copy(update={"verdicts": (verdict.model_copy(update={"ladder": ladder}),)})
    assert collect([shown])["cases"][0]["sections"][0]["ladder"][1]["weights"] == ["0.209", "0.790", "0.001"]
    stream = io.StringIO()
    Console(file=stream, width=160).print(render_console(shown))
    assert "{'a': 0.209, 'b': 0.790, 'c': 0.001}" in stream.getvalue()


def test_the_limits_of_the_searches_are_on_the_page(record_of):
    record = record_of()
    (verdict,) = record.verdicts
    told = record.model_copy(update={"verdicts": (verdict.model_copy(update={"effort": "Limits: 12 descents."}),)})
    assert "Limits: 12 descents." in render_html(told)
    assert "Limits: 12 descents." in render_markdown(told)
