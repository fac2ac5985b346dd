"""Text on its way out: no character of it acts on a terminal, and every encoding can show it."""

import codecs
import json
import sys

__all__ = ["make_streams_safe", "say", "say_json"]

_PLAIN = {
    "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "·": "*", "\u2002": " ", "\u00a0": " ", "≤": "<=", "≥": ">=",
    "‘": "'", "’": "'", "“": '"', "”": '"', "²": "^2", "³": "^3",
}  # fmt: skip
"""What stands for our own signs where an encoding lacks them; anything else is shown as its code."""

_HANDLER = "equipoise.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    codes = (f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}" for sign in missing)
    return "".join(_PLAIN.get(sign, code) for sign, code in zip(missing, codes, strict=True)), error.end


codecs.register_error(_HANDLER, _plain)


def make_streams_safe() -> None:
    """From here on, what stdout and stderr cannot encode is written as plain signs or codes instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a stream that somebody put there instead decides for itself
            reconfigure(errors=_HANDLER)


def say(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print text. Escape sequences in it are shown, not obeyed: a column of somebody's table may be named so."""
    _write(_shown(text) + end, err)


def say_json(text: str) -> None:
    """Print JSON. Signs that would act, or that stdout lacks, are written as JSON's own escapes: the same data."""
    shown = _shown(text)
    try:
        shown.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        shown = "".join(sign if sign.isascii() else json.dumps(sign)[1:-1] for sign in shown)
    _write(shown, err=False)


def _shown(text: str) -> str:
    from ..core.text import clean  # noqa: PLC0415 - not for --help

    return "\n".join(clean(line) for line in text.split("\n"))


def _write(text: str, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.flush()
