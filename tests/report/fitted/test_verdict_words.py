"""Every sentence of the answer against records whose truth is known."""

import math
import re

import pytest

from equipoise.comparison.paired import POWER, power
from equipoise.report.fitted.verdict_words import answer, certainty
from tests.report.fitted.constructed import entrant, losses, record

OTHER = (0.01, -0.01, 0.02, 0.0, -0.02)  # the noise of the other side, so that differences vary over seeds


def said(*ratios, k=2, rows=(700, 150, 150), noise=OTHER, **more):
    """The answer where one model has these losses in units of separate models'."""
    one = entrant("joint", losses(*ratios, k=k))
    return answer(record(one, entrant("separate", losses(1.0, k=k, noise=noise)), rows=rows, **more))


def test_one_model_is_better_for_every_target():
    found = said(0.5, 0.7)
    assert found.status == "one model"
    assert found.headline.startswith(
        "One model for all 2 targets is better than separate ones here: its held-out loss is 41 % lower "
    )
    assert re.search(
        r"lower \(95 % interval: 3\d % to 4\d % lower\) on average over the targets; 50 % lower \(95 % interval: ",
        found.headline,
    )
    assert re.search(r"\) for “a” and 30 % lower \(95 % interval: .* lower\) for “b”\.$", found.headline)


def test_separate_models_are_better():
    found = said(1.5, 1.4)
    assert found.status == "separate"
    assert found.headline.startswith(
        "Separate models are better here than one model for all 2 targets: the one model's held-out loss is 45 % "
        "higher ("
    )
    assert re.search(r"; 50 % higher \(.*\) for “a” and 40 % higher \(.*\) for “b”\.$", found.headline)


def test_it_depends_on_the_target():
    found = said(0.5, 2.0)
    assert found.status == "both"
    assert re.fullmatch(
        r"Here one model for all 2 targets is better than separate ones for “a” and worse for “b”: its held-out loss "
        r"is 50 % lower \(.*\) for “a” and 2.0 times as high \(.*\) for “b”; on average over the targets no difference "
        r"is detectable\.",
        found.headline,
    )


def test_one_target_is_better_and_the_average_is_open():
    one = {"a": [0.30, 0.31, 0.30, 0.29, 0.30], "b": [0.6, 0.2, 0.5, 0.3, 0.3]}
    other = {"a": [0.40, 0.41, 0.40, 0.39, 0.41], "b": [0.3, 0.4, 0.2, 0.5, 0.3]}
    found = answer(record(entrant("joint", one), entrant("separate", other)))
    assert found.status == "one model"
    assert found.headline.startswith(
        "Here one model for all 2 targets is better than separate ones for “a”: its held-out loss is 25 % lower ("
    )
    assert found.headline.endswith("lower); on average over the targets no difference is detectable.")
    assert found.headline.count("“a”") == 1
    assert found.sentences[0].startswith("Measured with 5 seeds: the one model's held-out loss is ")


def test_no_difference_says_what_could_have_been_seen():
    found = said(1.0)
    assert found.status == "open"
    words = re.fullmatch(
        r"No difference is detectable here between one model for all 2 targets and separate ones: 5 seeds would show "
        r"one of (\S+) % of the loss, (\d+) seeds one of (\S+) %\.",
        found.headline,
    )
    least, seeds, finer = float(words[1]), int(words[2]), float(words[3])
    average = found.contrast.average
    for percent, n in ((least, 5), (finer, seeds)):  # an oracle: so large a difference, so many seeds, that power
        log = -math.log1p(-percent / 100)
        assert power(log, n, average.spread, average.overlap) == pytest.approx(POWER, abs=0.08)
    assert seeds > 5
    assert finer < least
    assert found.sentences[0].startswith("Measured with 5 seeds: the one model's held-out loss is ")
    assert "higher) on average over the targets." in found.sentences[0]


def test_with_independent_splits_half_the_difference_is_named():
    found = said(1.0, redrawn=False)
    least, finer = map(float, re.findall(r"one of (\S+) % .*one of (\S+) %", found.headline)[0])
    assert finer == pytest.approx(least / 2, rel=0.2)


def test_one_seed_has_no_interval():
    one, other = {"a": [0.2], "b": [0.4]}, {"a": [0.4], "b": [0.4]}
    found = answer(record(entrant("joint", one), entrant("separate", other)))
    assert found.status == "undecided"
    assert found.headline == (
        "One seed cannot say whether one model for all 2 targets is better than separate ones: its held-out loss is "
        "29 % lower on average over the targets, and no interval can be given; --seeds 3 or more gives one."
    )
    assert found.sentences[0] == "Over the targets the measured differences go from 50 % lower to the same."


def test_one_seed_left_of_three_says_so():
    one, other = {"a": [0.2, 0.2, 0.2], "b": [0.4] * 3}, {"a": [0.4, None, None], "b": [0.4, None, None]}
    found = answer(record(entrant("joint", one), entrant("separate", other)))
    assert found.headline.startswith("The one seed of 3 that both finished cannot say whether")
    assert found.sentences[-1] == (
        "Of 6 runs 2 failed; a comparison uses the seeds that both sides finished, which is kind to the side that "
        "failed."
    )


def test_equal_differences_tell_nothing_about_their_spread():
    found = answer(record(entrant("joint", losses(0.8)), entrant("separate", losses(1.0))))
    assert found.status == "undecided"
    assert (
        "the difference (its loss is 20 % lower on average) is the same in all 5 seeds up to rounding" in found.headline
    )
    same = answer(record(entrant("joint", losses(1.0)), entrant("separate", losses(1.0))))
    assert same.headline == (
        "One model for all 2 targets and separate ones have the same held-out loss on average in all 5 seeds."
    )


def test_nothing_to_compare_is_said():
    assert "no model for all targets was trained" in answer(record(entrant("separate", losses(1.0)))).headline
    assert "no separate models were trained" in answer(record(entrant("joint", losses(1.0)))).headline
    failed = entrant("separate", {"a": [None] * 5, "b": [None] * 5})
    assert "no seed has held-out losses of both" in answer(record(entrant("joint", losses(1.0)), failed)).headline
    one_target = answer(record(entrant("joint", losses(1.0, k=1)), entrant("separate", losses(1.1, k=1))))
    assert one_target.headline.startswith("There is one target, so")


def test_a_target_without_a_ratio_is_named():
    zero = {"a": [0.0] * 5, "b": losses(0.8)["b"]}
    found = answer(record(entrant("joint", zero), entrant("separate", losses(1.0, noise=OTHER))))
    assert "“a” takes no part in the comparison: a loss is 0 in 5 of 5 seeds, so there is no ratio." in found.sentences


def test_many_targets_are_counted_not_listed():
    found = said(0.5, k=9)
    assert found.headline.endswith("and lower for 6 others.")
    assert found.headline.count("“") == 3
    both = said(*[0.5] * 4, *[2.0] * 4, k=8)
    assert both.headline.startswith(
        "Here one model for all 8 targets is better than separate ones for 4 targets and worse "
    )


def test_gradient_boosting_is_the_bar():
    boosting = entrant("boosting", losses(2.0, noise=OTHER))
    found = answer(record(entrant("joint", losses(1.0)), entrant("separate", losses(1.1, noise=OTHER)), boosting))
    assert any(
        s.startswith(
            "Against gradient boosting with a model for each target, the held-out loss of what was selected is 50 %"
        )
        for s in found.sentences
    )
    close = entrant("boosting", losses(1.0, noise=OTHER))
    found = answer(record(entrant("joint", losses(1.0)), entrant("separate", losses(1.1, noise=OTHER)), close))
    assert any(s.endswith("on average, so no difference is detectable.") for s in found.sentences)


def test_the_one_model_is_named_where_there_were_several():
    tuned = entrant("weights", losses(0.9), val=losses(0.5))
    found = answer(record(entrant("joint", losses(0.8)), tuned, entrant("separate", losses(1.0, noise=OTHER))))
    assert (
        "The one model is “one network, tuned weights”: the validation part prefers it among the 2 single models."
        in found.sentences
    )


def test_what_intervals_mean_depends_on_the_split():
    drawn, fixed = (record(entrant("joint", losses(1.0)), redrawn=redrawn) for redrawn in (True, False))
    assert "corrected for that overlap (Nadeau and Bengio 2003)" in certainty(drawn)[0]
    assert "not what other rows would give" in certainty(fixed)[0]
    assert "corrected for 2 targets (Holm 1979)" in certainty(drawn)[1]
