"""Settings of the documentation build, and the two directives that write the method pages from the table of methods."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: the gallery's problems are too small for threads

import re

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.nodes import nested_parse_with_titles

import equipoise as eq
from equipoise._version import __version__

project = "equipoise"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
html_theme = "furo"
html_title = f"equipoise {__version__}"
exclude_patterns = ["_build", "gallery_src", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_custom_sections = ["Shapes", "Scale", "Degenerate", "Errors", "Cost", "Source", "Accuracy"]
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.xref_missing", "config.cache"]
sphinx_gallery_conf = {
    "examples_dirs": "gallery_src",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 1,
    "show_signature": False,
    "write_computation_times": False,
    "plot_gallery": "True",
}


class _Written(Directive):
    """Parses lines of reStructuredText that `lines` makes of the argument."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        node = nodes.section()
        node.document = self.state.document
        nested_parse_with_titles(
            self.state, StringList(self.lines(self.arguments[0]), source="equipoise.methods"), node
        )
        return node.children


class MethodTable(_Written):
    """``.. method-table:: gramian``: one row a method of that folder, from `equipoise.methods.table`."""

    def lines(self, folder):
        rows = [".. list-table::", "   :header-rows: 1", "   :widths: 18 16 10 56", ""]
        rows += _row("``--method``", "class", "looks at", "source")
        for name, kind in _of_folder(folder):
            rows += _row(f"``{name}``", f":class:`~{kind.__module__}.{kind.__name__}`", kind.needs, kind.source)
        return rows


class MethodClasses(_Written):
    """``.. method-classes:: gramian``: the docstring of each method of that folder."""

    def lines(self, folder):
        return [f".. autoclass:: {kind.__module__}.{kind.__name__}" for _, kind in _of_folder(folder)]


def _of_folder(folder):
    return [(name, kind) for name, kind in eq.methods.table.items() if f".methods.{folder}." in kind.__module__]


def _row(*cells):
    return [("   * - " if number == 0 else "     - ") + cell for number, cell in enumerate(cells)]


def escape_bars(app, what, name, obj, options, lines):
    """In a docstring ``|d|`` is a length, never a substitution: escapes bars outside formulas and literals."""
    inside_formula = False
    for number, line in enumerate(lines):
        if line.strip():
            indent = len(line) - len(line.lstrip())
            if line.lstrip().startswith(".. math::"):
                inside_formula, margin = True, indent
            elif inside_formula and indent <= margin:
                inside_formula = False
        if not inside_formula and not line.lstrip().startswith(">>>"):
            pieces = re.split(r"(`+[^`]*`+)", line)
            lines[number] = "".join(piece if piece.startswith("`") else piece.replace("|", "\\|") for piece in pieces)


def setup(app: Sphinx):
    """Registers both directives and the escape."""
    app.connect("autodoc-process-docstring", escape_bars)
    app.add_directive("method-table", MethodTable)
    app.add_directive("method-classes", MethodClasses)
