"""Configuration of the documentation: `sphinx-build -W docs docs/_build/html`."""

import os
import sys
from pathlib import Path

# Programs of the gallery draw instances; what is written on the way stays with the built pages.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(__file__).parent / "_build" / "hypothesis")
)
sys.path.insert(0, str(Path(__file__).parent))
import generate  # writes pages from the registry before Sphinx looks for them

from vaetheory import __version__

generate.write_all(Path(__file__).parent)

project = "vaetheory"
author = "The vaetheory developers"
project_copyright = author
release = version = __version__

# Short programs that are run when the pages are built; an error in one of them ends the build.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "run_stale_examples": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
}

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "formulas",
    "pictures",
    "unbroken",
]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "derivations", "examples"]
templates_path = ["_templates"]

default_role = "code"  # single backticks in docstrings
autosummary_generate = True
autodoc_mock_imports = generate.missing_frameworks()
autodoc_typehints = "none"  # the docstrings state types and shapes
autodoc_preserve_defaults = True  # a default is shown as it is written
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# MathML needs no network and no scripts; a bundled KaTeX would be larger than all pages together.
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "vaetheory"
html_static_path = ["_static"]
html_css_files = ["vaetheory.css"]
_PAGES = [page.stem for page in Path(__file__).parent.glob("*.md")]
# Pages without subpages need no side menu.
html_sidebars = {page: [] for page in [*_PAGES, "api/tables"]}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    # The page of a claim begins with a table of propositions, and its figure needs the width.
    "secondary_sidebar_items": {page: ["page-toc"] for page in [*_PAGES, "api/*"]},
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_context = {"default_mode": "auto"}
