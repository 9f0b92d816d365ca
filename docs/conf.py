"""How Sphinx builds the site: ``python -m sphinx -W -b html docs docs/_build/html``."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "mean-prompt"
author = "the mean-prompt authors"
project_copyright = author
release = version = installed_version("mean-prompt")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "_ext.commands",
    "_ext.mathml",
    "_ext.rooms",
]
exclude_patterns = ["_build", "_generated", "_ext"]
#: Dashes only. Options such as ``--budget`` are set as code, which is left alone.
smartquotes_action = "D"

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_use_ivar = True
napoleon_use_rtype = False

html_title = "mean-prompt"
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
templates_path = ["_templates"]
html_sidebars = {"**": ["pages"]}
html_theme_options = {
    "logo": {"text": "mean-prompt"},
    "navbar_center": [],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
