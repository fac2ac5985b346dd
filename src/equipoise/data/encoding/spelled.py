"""A number as people write it, taken apart: sign, digits with their marks, unit or currency or percent sign."""

import re
from typing import NamedTuple

__all__ = ["Spelled", "spelled"]

_LONGEST = 60  # characters; longer texts are no numbers
_CURRENCY = r"(?:[A-Z]{0,2}[$€£¥₹₽₩]|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD)(?![A-Za-z])|Rs\.?)"
_SPELLED = re.compile(
    rf"(?P<sign>[+-]?)\s*(?P<before>{_CURRENCY}?)\s*(?P<inner>[+-]?)"
    r"(?P<core>(?:\d(?:[\d.,'_ ]*\d)?[.,]?|[.,]\d+)(?:[eE][+-]?\d+)?)"
    r"(?P<trailing>-?)\s*(?P<after>(?:[^\d\s+,.;:/-][^\s]{0,11}(?: [^\d\s]\S{0,11})?)?)"
)
_PLAIN_LETTERS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u2019": "'", "\u00a0": " ", "\u202f": " ", "\u2009": " "}
)


class Spelled(NamedTuple):
    """The parts of a number."""

    core: str  # digits with points, commas and other marks, a minus before them where it is negative
    unit: str  # what stands around them: a currency, a percent sign, a unit, or ""
    odd: bool  # whether the minus was written in another way than with "-"


def spelled(text: str) -> Spelled | None:
    """The parts of a text that is one number, or None.

    A minus may be U+2212 or an en dash, stand behind the digits, or be a pair of brackets, as accountants write it.

    Example:
        >>> spelled("(1,234.50)")
        Spelled(core='-1,234.50', unit='', odd=True)
        >>> spelled("\u2212€ 3"), spelled("12 kg").unit, spelled("12/04")
        (Spelled(core='-3', unit='€', odd=True), 'kg', None)
    """
    if len(text) > _LONGEST:
        return None
    plain = text.translate(_PLAIN_LETTERS).strip()
    bracketed = plain.startswith("(") and plain.endswith(")")
    match = _SPELLED.fullmatch(plain[1:-1].strip() if bracketed else plain)
    if match is None:
        return None
    signs = [sign for sign in (match["sign"], match["inner"], match["trailing"], "-" if bracketed else "") if sign]
    before, after = match["before"], match["after"].strip()
    if len(signs) > 1:
        return None
    minus = signs == ["-"]
    return Spelled(f"{'-' if minus else ''}{match['core']}", before + after, minus and not text.strip().startswith("-"))
