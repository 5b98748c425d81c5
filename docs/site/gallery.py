"""A page of the recipes in examples/, as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from leaderboard import Board, provenance, read_boards, table_of

HEAD = """# Gallery of recipes

The recipes in `examples/` of the repository. Each runs with `crosstower fit examples/NAME.yaml`,
which writes a report. Some are shown with their test metrics and report; further results are
under [benchmarks](benchmarks.md).

"""


def gallery_page(folder: Path, results: Path) -> str:
    """Return one section per recipe: what it learns, its results, and the file.

    Args:
        folder: of the recipes; the first comment of each says what it learns.
        results: folder of the results of each seed.

    """
    boards = read_boards(results)
    return HEAD + "".join(_section(path, boards) for path in sorted(folder.glob("*.yaml")))


def _section(path: Path, boards: Sequence[Board]) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    head = [line for line in lines[: _first(lines)] if line.strip()]
    words = " ".join(line.lstrip("# ").strip() for line in head)
    words = re.sub(r"crosstower data get \S+ --out \S+", r"`\g<0>`", words)
    body = "\n".join(lines[_first(lines) :])
    own = [board for board in boards if board.recipe == path.stem]
    results = "".join(f"{table_of(board)}\n{provenance(board)}\n\n" for board in own)
    return f"## {path.stem}\n\n{words}\n\n{results}```yaml\n{body}\n```\n\n"


def _first(lines: list[str]) -> int:
    return next(i for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
