"""Lines across parallel axes: what each says and looks like, and what stands beside the points."""

import re
from importlib.resources import files

from equipoise.report.explored.explored_page import explored_page
from equipoise.report.explored.figures import MARKS
from equipoise.report.explored.parallel_axes import parallel_legend, parallel_of

from .made import curve, point, record

LOW = [tuple(float(i == j) for j in range(4)) for i in range(4)]
FOUR = [point(f"S{i + 1}", row) for i, row in enumerate(LOW)]


def test_a_line_says_preference_losses_metrics_checkpoint_and_that_it_was_chosen():
    found = parallel_of(record(*FOUR, point("T1", (0.7,) * 4, "none", 0.2)))
    chosen, *_, above = found["points"]
    assert above["said"].splitlines() == [
        "T1, mean of 2 seeds", *(f"t{i} <b>: 0.7" for i in range(4)),
        "Tchebycheff weights: " + ", ".join(f"t{i} <b> 0.25" for i in range(4)), "t0 <b>, R2: 0.9",
        "no weights select it, gap 0.200 of the ranges (5 to 95 % over seeds: 0.160 to 0.240)",
        "checkpoint, seed 0: runs/t10/checkpoint",
    ]  # fmt: skip
    assert (above["chosen"], chosen["chosen"]) == (False, True)
    assert chosen["said"].splitlines()[-1] == "chosen: the knee"


def test_the_models_of_one_task_each_and_the_slider_are_lines_but_no_points():
    found = parallel_of(record(*FOUR, conditioned=curve(4)))
    assert [(other["kind"], other["losses"]) for other in found["others"]] == [
        ("alone", [0.1] * 4), ("slider", [1.0, 1.0, 0.0, 1.0]),
    ]  # fmt: skip
    assert len(found["points"]) == 4
    whole = record(*FOUR)
    lost = whole.singles[0].model_copy(update={"loss": None})
    assert parallel_of(whole.model_copy(update={"singles": (lost, *whole.singles[1:])}))["others"] == []


def test_every_kind_of_line_has_a_colour_and_its_words_stand_above():
    css = files("equipoise.report").joinpath("templates/explored.css").read_text()
    drawn = re.findall(r"((?:\.parallel \.\w+,? ?)+)\{ ?stroke: ", css)
    assert {kind for names in drawn for kind in re.findall(r"\.parallel \.(\w+)", names)} >= {
        *MARKS, "chosen", "alone", "slider",
    }  # fmt: skip
    points = [point(f"S{i + 1}", row, kind) for i, (row, kind) in enumerate(zip(LOW * 2, MARKS, strict=False))]
    legend = [entry["words"] for entry in parallel_legend(record(*points, conditioned=curve(4)))]
    assert legend == [*(words for words, *_ in MARKS.values()), "chosen", "each task trained alone",
                      "the preference of the slider"]  # fmt: skip
    front = explored_page(record(*FOUR))["sections"][0]
    assert [entry["words"] for entry in front["legend"]] == ["some weights select it", "chosen",
                                                             "each task trained alone"]  # fmt: skip
