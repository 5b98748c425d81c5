"""Write docs/api.md: every public name with its first line. Run: python docs/make_api.py."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import crosstower as ct
import crosstower.client  # an extra: `import crosstower` alone does not give it

GROUPS = {
    "recipe.kinds": ("Columns", "recipe.md"),
    "recipe.text_encoders": ("Columns", "recipe.md"),
    "recipe.tasks": ("Tasks", "recipe.md"),
    "recipe": ("Recipes", "recipe.md"),
    "fitting": ("Training and scoring", "training.md"),
    "training": ("Training and scoring", "training.md"),
    "ranking": ("Training and scoring", "training.md"),
    "retrieval": ("Retrieval", "retrieval.md"),
    "blending": ("Blending", "blending.md"),
    "funnel": ("Funnels and bundles", "serving.md"),
    "serving": ("Funnels and bundles", "serving.md"),
    "fitting.off_policy": ("Off-policy evaluation", "blending.md"),
    "data": ("Building blocks of models", "models.md"),
    "errors": ("Errors", "api.md"),
}
"""Heading and page by the module that defines a name; the longest prefix counts."""

FACES = {
    "metrics": "evaluation.md",
    "losses": "training.md",
    "models": "models.md",
    "nn": "models.md",
    "retrieval": "retrieval.md",
    "worlds": "worlds.md",
    "client": "clients.md",
}
"""The page of each sub-face."""

PREAMBLE = """# Public names

`import crosstower as ct` gives all names below; each is imported on first use. Those of `ct.client`
need `import crosstower.client`. Everything else is private and may change without notice.
`help(ct.NAME)` shows arguments, shapes, errors and an example. Shapes use the letters of
`crosstower.data.layout`. This page is written by `python docs/make_api.py`.
"""


def main() -> None:
    """Write the page."""
    Path(__file__).with_name("api.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page."""
    sections: dict[str, list[str]] = {}
    for name in ct.__all__:
        value = getattr(ct, name)
        if not isinstance(value, ModuleType):
            heading, target = _group(value.__module__.removeprefix("crosstower."))
            link = f"\n\nPage: [{target}]({target})." if target != "api.md" else ""
            sections.setdefault(f"## {heading}{link}", []).append(_row("ct", name, value))
    order = [heading for heading, _ in GROUPS.values()]
    found = sorted(sections, key=lambda s: order.index(s.removeprefix("## ").split("\n")[0]))
    parts = [PREAMBLE, *(_table(heading, sections[heading]) for heading in found)]
    for face, target in FACES.items():
        module = getattr(ct, face)
        words = (inspect.getdoc(module) or "").split("\n")[0]
        rows = [_row(f"ct.{face}", name, getattr(module, name)) for name in module.__all__]
        parts.append(_table(f"## ct.{face}\n\n{words} Page: [{target}]({target}).", rows))
    return "\n".join(parts)


def _group(module: str) -> tuple[str, str]:
    prefix = max((p for p in GROUPS if f"{module}.".startswith(f"{p}.")), key=len)
    return GROUPS[prefix]


def _row(face: str, name: str, value: object) -> str:
    words = (inspect.getdoc(value) or "").split("\n")[0].replace("|", "\\|")
    return f"| `{face}.{name}` | {words} |"


def _table(heading: str, rows: list[str]) -> str:
    return "\n".join([heading, "", "| name | |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    main()
