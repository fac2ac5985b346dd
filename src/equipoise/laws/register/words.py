"""The register in words: a summary for the terminal, and the page of the documentation."""

from collections.abc import Mapping, Sequence
from itertools import groupby

from .examine import COARSE, Row
from .packages import PACKAGES

__all__ = ["page", "summary"]


def _who(row: Row) -> tuple[str, str, str]:
    return row.package, row.version, row.name


def _holding(rows: Sequence[Row]) -> str:
    exact = [row.law for row in rows if row.verdict == "holds"]
    near = [f"{row.law} (to {row.worst:.1g})" for row in rows if row.verdict == "approximate"]
    return ", ".join(exact + near) or "none"


def _count(rows: Sequence[Row], skipped: Mapping[str, str]) -> str:
    who = {_who(row) for row in rows}
    bad = {_who(row) for row in rows if row.verdict in ("breaks", "fails")}
    own, own_bad = (sum(name == "equipoise" for name, _, _ in group) for group in (who, bad))
    return (
        f"{own} methods of equipoise, {own_bad} of them with a law broken; {len(who) - own} implementations of other "
        f"packages, {len(bad) - own_bad} of them with a law broken; {len(skipped)} packages skipped"
    )


def summary(rows: Sequence[Row], skipped: Mapping[str, str]) -> str:
    """The register as text: an implementation a paragraph, ours first.

    Args:
        rows: Rows in the order in which they are shown.
        skipped: Packages that were not examined, and why.

    Returns:
        Text of several lines.
    """
    lines: list[str] = []
    for (package, version, name), group in groupby(rows, _who):
        found = list(group)
        lines.append(f"{package} {version} {name}: holds {_holding(found)}")
        for row in found:
            if row.verdict in ("breaks", "fails"):
                lines += [
                    f"  {row.verdict} {row.law} on {row.missed} of {row.inputs} inputs; the smallest: {row.smallest}",
                    f"    expected: {row.expected}",
                    f"    found: {row.found}",
                    *([f"    cause: {row.cause}"] if row.cause else []),
                ]
    lines += [f"skipped {name}: {why}" for name, why in skipped.items()]
    return "\n".join([*lines, _count(rows, skipped)])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["", *(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)), ""]


def page(rows: Sequence[Row], skipped: Mapping[str, str], *, quick: bool = False) -> str:
    """The register as a page in Markdown.

    Args:
        rows: Rows in the order in which they are shown.
        skipped: Packages that were not examined, and why.
        quick: Whether the random families were left out.

    Returns:
        The whole page.
    """
    broken = [row for row in rows if row.verdict in ("breaks", "fails")]
    groups = [list(group) for _, group in groupby(rows, _who)]
    found = [
        [f"{row.package} {row.version}", row.name, row.law, f"`{row.smallest}`", row.expected, row.found,
         f"{row.missed} of {row.inputs}", row.cause]
        for row in broken
    ]  # fmt: skip
    families = "" if quick else ", and the random families of `equipoise.laws.families`"
    heads = ("package", "name", "law", "smallest input", "expected", "found", "inputs that break it", "cause")
    lines = [
        "# Register of implementations",
        "",
        "What implementations of the methods' names return, ours first. Written by",
        "",
        "```",
        f"python -m equipoise.laws.register {'--quick ' if quick else ''}--markdown docs/register.md",
        "```",
        "",
        "Each implementation is called through its public interface in float64, in its first step, with the defaults",
        "of its package (a parameter without a default is in the name). It is examined for two tasks and more on the",
        "[laws](adding-a-method) that its source claims, on inputs for which its source defines it: no gradient is",
        "exactly zero, and gradients are independent where the source asks for it. A sum over tasks is divided by",
        "their number. `definition` is one input worked out by hand, compared up to the length of the direction.",
        "",
        f"A law holds within 1e-7 of the direction, holds approximately within {COARSE:g}, and is broken beyond that.",
        f"The inputs are small whole numbers at scales from 1e-6 to 1e6{families}. They are tried from small to large,",
        "and the first that breaks a law by more than the limit is shown. A law changes its input: `degree` multiplies",
        "all losses by 0.001 and by 7, `task_scale` single losses by 0.1 to 10. Our own methods are examined on all",
        "inputs.",
        "",
        f"{_count(rows, skipped).capitalize()}.",
        "",
        "## Laws that are broken",
        *(_table(heads, found) if found else ["", "None.", ""]),
        "## Laws that hold",
        *_table(
            ("package", "name", "set against", "holds; in brackets the largest miss where it is above 1e-7"),
            [[f"{g[0].package} {g[0].version}", g[0].name, f"`{g[0].method}`", _holding(g)] for g in groups],
        ),
        "## Not examined",
        "",
        *(f"- {name}: {why}" for name, why in skipped.items()),
        *(f"- {package.distribution}: {package.left_out}" for package in PACKAGES if package.left_out),
    ]
    return "\n".join(lines) + "\n"
