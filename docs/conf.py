"""Settings of the documentation build."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: the gallery's problems are too small for threads

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import command_tables
import method_pages
import method_tables
from sphinx.application import Sphinx

from equipoise._version import __version__

project = "equipoise"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas are set without a network
]
html_theme = "furo"
html_title = f"equipoise {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build", "_ext", "*_src"]
exclude_patterns += [f"{built}/*.{kind}" for built in ("gallery", "theory") for kind in ("ipynb", "py", "md5")]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give types and shapes in words; signatures stay short
napoleon_use_ivar = True
napoleon_custom_sections = ["Shapes", "Scale", "Degenerate", "Errors", "Cost", "Source", "Accuracy", "Optimizer"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache", "ref.python"]  # attributes of several classes share a name
nitpicky = True
nitpick_ignore_regex = [
    # types of others, which only the inventories on their sites could resolve
    (
        r"py:.*",
        r"(abc|annotated_types|collections|np|npt|numpy|os|pandas|pathlib|pd|pydantic|rich|torch|types|typing)\..*",
    ),
    (
        r"py:(class|exc|obj)",
        r"[A-Za-z0-9_-]+|[^.]* .*",
    ),  # napoleon takes words after "Returns:" for a type
]
sphinx_gallery_conf = {
    "examples_dirs": ["gallery_src", "theory_src"],
    "gallery_dirs": ["gallery", "theory"],
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 1,
    "show_signature": False,
    "write_computation_times": False,
    "plot_gallery": "True",
}


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


def setup(app: Sphinx) -> None:
    """Writes the method pages, registers the directives and the escape."""
    method_pages.write_pages(Path(__file__).parent / "methods")
    app.connect("autodoc-process-docstring", escape_bars)
    app.add_directive("command", command_tables.Command)
    app.add_directive("method-table", method_tables.MethodTable)
    app.add_directive("promise-table", method_tables.PromiseTable)
    app.add_directive("promises-in-words", method_tables.PromisesInWords)
    app.add_directive("method-pages", method_tables.MethodPages)
