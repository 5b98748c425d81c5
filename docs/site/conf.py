"""Configuration of Sphinx for the documentation site, which docs/site/build.py builds."""

import re
from importlib.metadata import version as version_of
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

project = "Crosstower"
author = "the Crosstower maintainers"
release = version = version_of("crosstower")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_heading_anchors = 4
templates_path = ["templates"]
html_theme = "furo"
html_title = f"Crosstower {release}"
html_static_path = ["static"]
html_extra_path = ["extra"]  # copied to the root as it is
html_js_files = ["versions.js", "sortable.js"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).with_name("static") / "search_scorer.js")
html_copy_source = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/versions.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: Any) -> None:
    """Read docstrings as the project writes them: `name` is code, and no other mark is special."""
    app.connect("autodoc-process-docstring", _as_rst, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", _plain_signature)


def _as_rst(
    _app: Any, _what: str, _name: str, _value: Any, _options: Any, lines: list[str]
) -> None:
    found: list[str] = []
    for is_example, block in groupby(_examples(lines), key=lambda pair: pair[0]):
        text = "\n".join(line for _, line in block)
        if not is_example:
            text = re.sub(r"`[^`]+`|[|*]", _escaped, text)
        found += text.split("\n")
    lines[:] = found


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    # The empty space lets a letter follow, as in the plural of a name.
    return f"\\{found}" if len(found) == 1 else f"`{' '.join(found.split())}`\\ "


def _examples(lines: list[str]) -> list[tuple[bool, str]]:
    """Return each line with whether it belongs to a doctest, which ends with an empty line."""
    found, inside = [], False
    for line in lines:
        inside = bool(line.strip()) and (inside or line.lstrip().startswith(">>>"))
        found.append((inside, line))
    return found


def _plain_signature(
    _app: Any, _what: str, _name: str, _value: Any, _options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave out of a section's arguments what narrows their types, which the text says in words."""
    if not signature:
        return None
    while (start := signature.find("Annotated[")) >= 0:
        first = start + len("Annotated[")
        depths = list(accumulate((c in "[(") - (c in "])") for c in signature[first:]))
        end = first + depths.index(-1)
        comma = first + next(
            i for i, c in enumerate(signature[first:]) if c == "," and depths[i] == 0
        )
        signature = signature[:start] + signature[first:comma] + signature[end + 1 :]
    signature = signature.replace("<factory>", "...")  # of a dataclass field
    return re.sub(r", kind: Literal\['\w+'\] = '\w+'", "", signature), returns
