"""Settings of the documentation build."""

from equipoise._version import __version__

project = "equipoise"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
exclude_patterns = ["_build", "gallery_src"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_custom_sections = ["Shapes", "Scale", "Degenerate", "Errors", "Cost", "Source"]
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["myst.xref_missing"]
