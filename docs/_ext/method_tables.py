"""Directives that write tables and lists of methods from the code, so that no page can lag behind it."""

from collections.abc import Iterable

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from method_pages import TASKS, methods_of
from sphinx.util.nodes import nested_parse_with_titles

import equipoise as eq
from equipoise.laws import laws


class Written(Directive):
    """Parses lines of reStructuredText that `lines` makes of the arguments."""

    optional_arguments = 1
    final_argument_whitespace = True

    def lines(self) -> Iterable[str]:
        """The lines to parse."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        """Parse the lines in place."""
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(self.state, StringList(list(self.lines()), source="equipoise.methods"), node)
        return node.children


class MethodTable(Written):
    """``.. method-table:: gramian``: one row a method of that folder, with a link to its page."""

    def lines(self) -> Iterable[str]:
        """A list-table."""
        yield from table((20, 30, 16, 34), ("method", "what it does", "``--method``", "source"))
        for name, kind in methods_of(self.arguments[0]):
            yield from row(link(name), first_sentence(kind), f"``{name}``", kind.source)


class PromiseTable(Written):
    """``.. promise-table:: gramian``: what each method of that folder does, costs and promises."""

    SHOWN = ("no_conflict", "task_scale", "simplex")

    def lines(self) -> Iterable[str]:
        """A list-table; of the laws only those that a reader chooses by."""
        yield from table((20, 40, 22, 18), ("method", "what it does", "extra cost", "promises"))
        for name, kind in methods_of(self.arguments[0]):
            claims = kind().claims(TASKS)
            promises = ", ".join(f"``{law}``" for law in self.SHOWN if law in claims)
            yield from row(link(name), first_sentence(kind), kind.cost, promises)


class PromisesInWords(Written):
    """``.. promises-in-words::``: the laws of the promise tables, one a line."""

    def lines(self) -> Iterable[str]:
        """A list."""
        yield from (f"- ``{law}``: {laws[law].sentence}." for law in PromiseTable.SHOWN)


class MethodPages(Written):
    """``.. method-pages::``: a hidden table of contents with the page of every method."""

    def lines(self) -> Iterable[str]:
        """A toctree."""
        yield from (".. toctree::", "   :hidden:", "")
        yield from (f"   /methods/{name}" for name in sorted(eq.methods.table))


def table(widths: Iterable[int], heads: Iterable[str]) -> Iterable[str]:
    """The beginning of a list-table."""
    return [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", "", *row(*heads)]


def row(*cells: str) -> list[str]:
    """One row of a list-table."""
    return [("   * - " if number == 0 else "     - ") + cell for number, cell in enumerate(cells)]


def link(name: str) -> str:
    """A link to the page of a method."""
    return f":doc:`{eq.methods.table[name].__name__} </methods/{name}>`"


def first_sentence(kind: type) -> str:
    """The first line of a docstring, which is a sentence."""
    return (kind.__doc__ or "").strip().split("\n")[0].rstrip(".")
