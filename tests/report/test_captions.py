"""Sentences are made from the record's numbers and say no more than they do."""

import re

import pytest

from equipoise.core.records.audit import FrontPoint
from equipoise.report.audit import captions

TASKS = ("A", "B", "C")


def with_front(verdict, **points):
    front = tuple(FrontPoint(kind=kind.replace("_", " "), losses=losses) for kind, losses in points.items())
    return verdict.model_copy(update={"front": front})


def test_the_caption_says_what_is_gained_and_what_is_paid(record_of):
    verdict = with_front(record_of(TASKS).verdicts[0], equal_weights=(0.30, 0.90, 0.40), tchebycheff=(0.45, 0.60, 0.41))
    caption = captions.front_caption(verdict, TASKS)
    assert "to get B from 0.900 down to 0.600 you pay +0.150 on A and +0.010 on C." in caption
    assert (
        "The best weights found in 1,234 solves leave the worst task at 0.708; one model brings every task to 0.645 "
        "or below."
    ) in caption


def test_the_caption_is_silent_about_gaps_too_small_to_matter(record_of):
    verdict = with_front(
        record_of(TASKS, ("enough",)).verdicts[0], equal_weights=(0.5, 0.5, 0.5), tchebycheff=(0.495, 0.5, 0.5)
    )
    caption = captions.front_caption(verdict, TASKS)
    assert "Equal weights already give the balanced model" in caption
    assert "The best weights found" not in caption


def test_the_caption_says_when_the_picture_is_magnified(record_of):
    verdict = record_of(TASKS, ("enough",)).verdicts[0]
    small = with_front(verdict, equal_weights=(0.5, 0.5, 0.5), separate=(0.495, 0.495, 0.495))
    large = with_front(verdict, equal_weights=(0.5, 0.5, 0.5), separate=(0.4, 0.495, 0.495))
    assert "magnified" in captions.front_caption(small, TASKS)
    assert "magnified" not in captions.front_caption(large, TASKS)


def test_the_caption_names_marks_that_lie_on_each_other(record_of):
    verdict = with_front(
        record_of(TASKS, ("enough",)).verdicts[0],
        equal_weights=(0.3, 0.9, 0.4),
        best_weights=(0.5, 0.5, 0.5),
        tchebycheff=(0.5, 0.5004, 0.5),
        mixture=(0.4, 0.4, 0.4),
    )
    caption = captions.front_caption(verdict, TASKS)
    assert "The best weights found and the best balanced model give the same losses to three digits." in caption
    assert "mixture" not in caption


def test_nothing_to_trade_is_said_as_such(record_of):
    verdict = record_of(TASKS, ("nothing_to_trade",)).verdicts[0]
    assert "nothing is given up" in captions.front_caption(verdict, TASKS)
    assert captions.effect_words(verdict) == ["One model is best at every task at once, so no gap can exist."]


def test_how_sure_a_number_is_never_goes_unsaid(record_of):
    (verdict,) = record_of().verdicts
    known = {rung.kind: captions.how_known(verdict, rung) for rung in verdict.ladder}
    assert known["equal_weights"] == "exact"
    assert known["best_weights"] == "best found in 1,234 solves; cannot be below 0.645"
    assert known["separate"] == "between 0.139 and 0.141"


def test_weights_that_need_many_digits_are_a_cost(record_of):
    costs = {rung.kind: captions.takes(rung) for rung in record_of().verdicts[0].ladder}
    assert costs["best_weights"] == "1 model, width 1, weights right to 4 digits"
    assert costs["mixture"] == "2 models, width 1"


@pytest.mark.parametrize(
    ("status", "necessary", "words"),
    [
        ("holds", True, "reached by some weights"),
        ("fails", True, "reached by no weights"),
        ("fails", False, "proves nothing by itself"),
        ("open", False, "theory has no answer"),
        ("single point", False, "nothing to test"),
        ("undetermined", True, "could not be decided"),
    ],
)
def test_each_outcome_of_the_test_has_its_words(record_of, status, necessary, words):
    condition = record_of().verdicts[0].condition.model_copy(update={"status": status, "necessary": necessary})
    assert words in " ".join(captions.condition_words(condition))


def test_neighbouring_widths_of_one_verdict_share_a_sentence(record_of):
    record = record_of(("a", "b", "c", "d"), ("not_enough", "not_enough", "enough", "nothing_to_trade"))
    assert captions.overall(record) == [
        "Widths 1 to 2: a weighted sum is not enough.",
        "Width 3: a weighted sum is enough.",
        "Width 4: nothing is left to trade.",
    ]


def test_the_range_over_resamples_is_told_in_percent(record_of):
    words = " ".join(captions.bootstrap_words(record_of(bootstrap=True).verdicts[0].bootstrap))
    assert "200 resamples" in words
    assert "a weighted sum is not enough in 90 %" in words
    assert "0.020 to 0.090" in words


def test_what_a_caption_says_of_a_number_is_true_of_the_number_in_the_table(record_of):
    """0.7077 is not below 0.71 and 0.645 is not below 0.64: captions and tables show the same digits."""
    verdict = with_front(record_of(TASKS).verdicts[0], equal_weights=(0.52, 0.917, 0.23), tchebycheff=(0.6448,) * 3)
    caption = captions.front_caption(verdict, TASKS)
    shown = {f"{rung.worst:.3f}" for rung in verdict.ladder} | {"0.917", "0.645"}
    assert set(re.findall(r"(?<![+\d.])0\.\d+", caption)) <= shown


def test_a_mixture_that_gains_nothing_is_said_to_gain_nothing(record_of):
    verdict = record_of(TASKS).verdicts[0]
    none = verdict.effect.model_copy(update={"mixture_gap": 1e-9, "largest_gap": 1e-9})
    told = " ".join(captions.effect_words(verdict.model_copy(update={"effect": none})))
    assert "does not lower the worst task further" in told
    assert "None of 55 balanced models tried is beaten by a mixture" in told
    assert "0.000" not in told


def test_a_note_of_the_test_is_a_sentence_and_said_once(record_of):
    condition = (
        record_of()
        .verdicts[0]
        .condition.model_copy(update={"status": "open", "note": "no test is known for widths between"})
    )
    words = captions.condition_words(condition)
    assert words[-1] == "No test is known for widths between."
    assert "between" not in words[0]


def test_several_widths_are_about_all_of_them(record_of):
    about, caveat = captions.about_widths(record_of(TASKS, ("not_enough", "enough", "nothing_to_trade")))
    assert (
        about == "linear model with a shared layer of width 1, that is one number computed from the inputs, "
        "which all tasks read, and the same up to width 3; 4,449 rows, in-sample"
    )
    assert "width 1" not in caveat
    assert "not about new rows" in caveat
