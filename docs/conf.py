# ruff: noqa: INP001 - Sphinx reads it by its path
"""How the site is made: what tools/docs.py, and so `make docs`, hands to Sphinx."""

project = "fastcascade"
author = "the authors of fastcascade"
project_copyright = "the authors of fastcascade; Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["conf.py"]

# Pages are plain Markdown, as they are read in the repository too.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
highlight_language = "text"
pygments_style = "default"
pygments_dark_style = "monokai"

# Nothing from elsewhere: no fonts, no scripts, no analytics. Search is an index beside the pages.
html_theme = "furo"
html_title = "fastcascade"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_last_updated_fmt = None
html_domain_indices = False
html_show_search_summary = False  # it would fetch each page that was found, which a browser refuses from a disk
html_theme_options = {"top_of_page_buttons": []}
# Two things of one name, as the review of a store and the fallback, are told apart by their modules, not by signatures.
suppress_warnings = ["ref.python"]
