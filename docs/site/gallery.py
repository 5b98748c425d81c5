"""A page of the recipes in examples/, as they are."""

from __future__ import annotations

from pathlib import Path

HEAD = """# Gallery of recipes

The recipes in `examples/` of the repository. Each runs with `crosstower fit examples/NAME.yaml`;
their figures are under [benchmarks](benchmarks.md).

"""


def gallery_page(folder: Path) -> str:
    """Return one section a recipe: what it learns, from its first comment, and the file."""
    return HEAD + "".join(_section(path) for path in sorted(folder.glob("*.yaml")))


def _section(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines[: _first(lines)] if line.strip()]
    words = " ".join(line.lstrip("# ").strip() for line in head)
    body = "\n".join(lines[_first(lines) :])
    return f"## {path.stem}\n\n{words}\n\n```yaml\n{body}\n```\n\n"


def _first(lines: list[str]) -> int:
    return next(i for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
