"""Numbers and names as a reader sees them.

Every number of a report is formatted here, and every name from a user's table passes `clean` before it is shown.
"""

import math
import unicodedata
from collections.abc import Sequence

__all__ = ["clean", "count", "in_words", "joined", "percent", "plural", "share", "shorten", "signed"]


def clean(text: str) -> str:
    r"""Text without characters that act on a terminal or reorder a page; they are shown as their code instead.

    Control characters (escape sequences of terminals among them) and marks that override the direction of writing
    become ``\u001b``; line breaks and tabs become spaces. Everything else, markup included, is kept as it is:
    escaping markup is the renderer's work.

    Example:
        >>> clean("a\x1b[31mred\nb")
        'a\\u001b[31mred b'
    """
    if text.isprintable():  # nearly all text, and much faster
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in {"Cc", "Cs"} or character in "\u2028\u2029":
        return f"\\u{ord(character):04x}"
    if unicodedata.bidirectional(character) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}:
        return f"\\u{ord(character):04x}"
    return character


def shorten(text: str, length: int = 22) -> str:
    """Text cut to `length` characters in the middle, so that names that differ at the end stay apart.

    Example:
        >>> shorten("a_very_long_column_name_1")
        'a_very_long…umn_name_1'
    """
    if len(text) <= length:
        return text
    tail = (length - 1) // 2
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def share(value: float | None, digits: int = 3) -> str:
    """A share of variance; what would round to nothing is said to be below the last digit shown.

    Example:
        >>> share(0.70771), share(0.0), share(0.0002), share(-0.0002), share(None)
        ('0.708', '0.000', '<0.001', '>-0.001', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    step = 10.0**-digits
    if 1e-9 < value < step / 2:
        return f"<{step:.{digits}f}"
    if -step / 2 < value < -1e-9:
        return f">-{step:.{digits}f}"
    return f"{value + 0.0:.{digits}f}" if abs(value) >= step / 2 else f"{0:.{digits}f}"


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, with a true minus.

    Example:
        >>> signed(0.314), signed(-0.2), signed(0.001)
        ('+0.31', '−0.20', '0.00')
    """
    if not math.isfinite(value):
        return "n/a"
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def count(number: int) -> str:
    """A whole number with its thousands set apart: ``15,362``."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """A count with its noun: ``1 row``, ``4,449 rows``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """A part of a whole, in percent: ``38 %``; ``n/a`` of nothing."""
    return f"{100 * part / whole:.0f} %" if whole else "n/a"


def in_words(size: float) -> str:
    """Bytes as a person reads them.

    Example:
        >>> in_words(7_864_320)
        '7.5 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def joined(names: Sequence[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
