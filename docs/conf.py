"""Sphinx's configuration: Markdown by MyST, the theme Furo, and reference pages made from the code at build time.

Build with `tox run -e docs`. `tox run -e lint` builds too, with each warning an error: a link or an anchor that leads
nowhere, a page that is listed and missing, a page that no page lists.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import bench  # noqa: E402  # found only from here on

project = "forkbench"
author = "The forkbench developers"
project_copyright = author
version = release = bench.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.extension"]
exclude_patterns = ["extension"]

myst_heading_anchors = 4

default_role = "code"  # docstrings mark code with single backticks, as Markdown does
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
highlight_language = "text"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = "forkbench"
html_static_path = ["_static"]
html_css_files = ["forkbench.css"]
html_copy_source = False
html_show_sphinx = False
