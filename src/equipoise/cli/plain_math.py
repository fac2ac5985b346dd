"""Docstrings as a terminal shows them: formulas in Unicode instead of LaTeX."""

import re
import textwrap

from pylatexenc.latex2text import LatexNodes2Text

__all__ = ["plain_text"]


def plain_text(docstring: str) -> str:
    r"""A docstring without markup: formulas become Unicode, single and double backticks go.

    Example:
        >>> plain_text(r"weights :math:`\alpha_i \ge 0`, see `MGDA`")
        'weights α_i ≥ 0, see MGDA'
    """
    text = re.sub(r"\.\. math::[ \n]*((?:.+\n?)+(?:\n(?=[ ]+\\).+\n?)*)", _block, docstring)
    text = re.sub(r":math:`([^`]*)`", lambda found: _formula(found[1]), text)
    return re.sub(r"``?([^`]+)``?", r"\1", text)


def _formula(latex: str) -> str:
    plain = re.sub(r"\\[td]frac", r"\\frac", latex)
    plain = re.sub(r"\\q?quad", "   ", plain)
    plain = re.sub(r"([_^])\{([^{}]{2,})\}", r"\1(\2)", plain)  # the braces of an index keep it together
    text = LatexNodes2Text(math_mode="text", strict_latex_spaces=True).latex_to_text(plain)
    return re.sub(r" *([≤≥∈←∼∝]) *", r" \1 ", text).replace(" ⟩", "⟩").strip()


def _block(found: re.Match[str]) -> str:
    lines = [" ".join(_formula(line).split()) for line in re.split(r"\\\\", textwrap.dedent(found[1])) if line.strip()]
    return "\n".join(f"    {line}" for line in lines) + "\n"
