"""The documentation site: ``python -m sphinx -W --keep-going docs build/docs`` (extra ``docs``)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import minigrad  # noqa: E402

project = "minigrad"
author = "the minigrad authors"
release = minigrad.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "extension.docstrings",
    "extension.gradients",
    "extension.lessons",
    "extension.reference",
    "extension.sources",
]
exclude_patterns = ["extension", "pictures"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # extension.lessons runs them
nb_merge_streams = True
autodoc_typehints = "none"  # signatures are long enough, and docstrings give shapes and dtypes
autodoc_member_order = "alphabetical"
autodoc_inherit_docstrings = False  # extension.reference leads to what a method overrides
toc_object_entries_show_parents = "hide"
napoleon_use_ivar = True  # attributes are also properties, which would be indexed twice
html_theme = "furo"
html_title = "minigrad"
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["extension/site.css", "extension/site.js"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
