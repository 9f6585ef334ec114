"""How sphinx builds the pages: ``make docs``."""

import os
import re
import sys
from importlib.metadata import version as installed

sys.path.insert(0, os.path.dirname(__file__))  # for _gallery_order

project = "skdiffusion"
author = "The skdiffusion developers"
copyright = author
version = release = installed("skdiffusion")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = [
    "_build",
    "_templates",
    "cost/*.md",
    "theory/*.md",
]
templates_path = ["_templates"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

html_theme = "pydata_sphinx_theme"
html_title = "skdiffusion"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"changelog": [], "contributing": [], "benchmarks": [], "theory": []}

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_heading_anchors = 3
# names in backticks are links where they are ours, and code elsewhere
default_role = "py:obj"

# links to the pages of other projects need the network
if os.environ.get("DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "networkx": ("https://networkx.org/documentation/stable", None),
    }

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # all but the one that takes a quarter of an hour
    "filename_pattern": r"plot_(?!digits_as_random_field)",
    "within_subsection_order": "_gallery_order.FromFirstStepsOn",
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "min_reported_time": 5,
}


def link_to_gallery(app, docname, source):
    """Links of Markdown pages to examples lead to their pages in the gallery."""
    gallery = "../" * docname.count("/") + "auto_examples"
    link = r"\]\((?:\.\./)+examples"
    source[0] = re.sub(rf"{link}/(\w+)\.py\)", rf"]({gallery}/\1.rst)", source[0])
    source[0] = re.sub(rf"{link}\)", f"]({gallery}/index.rst)", source[0])


def without_links_to_other_manuals(app, what, name, obj, options, lines):
    """Docstrings inherited from scikit-learn refer to sections of its user guide."""
    lines[:] = [
        re.sub(r":(?:ref|term):`([^`<]*?)\s*(?:<[^`]*>)?`", r"\1", line) for line in lines
    ]


def setup(app):
    """Register the hooks above."""
    app.connect("source-read", link_to_gallery)
    app.connect("autodoc-process-docstring", without_links_to_other_manuals)
