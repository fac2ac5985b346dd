"""Numbers and names as a reader sees them."""

from equipoise.core.text import count, joined, percent, plural


def test_whole_numbers_have_their_thousands_set_apart_and_a_noun_that_agrees():
    assert count(15362) == "15,362"
    assert [plural(number, "row") for number in (0, 1, 4449)] == ["0 rows", "1 row", "4,449 rows"]


def test_a_part_of_nothing_has_no_percent():
    assert [percent(3, 8), percent(0, 0)] == ["38 %", "n/a"]


def test_names_are_joined_as_in_a_sentence():
    assert [joined(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
