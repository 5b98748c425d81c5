"""The leaderboard: a table per data set and one by model, from the results of each seed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HEAD = """# Leaderboard

Test metrics of models on the same rows, mean ± sd over the seeds, from the files in `docs/results/`
that benchmarks write with `--json docs/results`. A click on a heading sorts. ↑: higher is better,
↓: lower is better. Models within two standard deviations of each other are not significantly
different. The metrics are explained under [benchmarks](benchmarks.md).

"""

DATA = {
    "adult": "Adult, income above 50,000",
    "movielens": "MovieLens 100k, rating of 4 or more",
    "amazon_beauty": "Amazon Beauty, next purchase",
    "amazon_sports": "Amazon Sports, next purchase",
    "movielens_retrieval": "MovieLens 100k, next film",
    "clothing_search": "Clothing reviews, from a title to the piece",
    "restaurants": "Simulated restaurants, clicks by request",
}
"""Title by name of a data set, in order."""

MODELS = {
    "Constant base rate": "base rate",
    "logistic_regression": "logistic regression",
    "mlp": "MLP",
    "wide_deep": "Wide & Deep",
    "dcn_v2": "DCN-V2",
    "two_tower": "two-tower",
    "item_knn": "item-kNN",
    "ease": "EASE^R",
    "bm25": "BM25",
}
"""Name of a model on the page; others are shown as they are."""

METRICS = {
    "auc": ("AUC", True),
    "log_loss": ("log loss", False),
    "ece": ("ECE", False),
    "gauc": ("gAUC", True),
    "ndcg@10": ("NDCG@10", True),
    "relevance_ndcg@10": ("NDCG@10 of relevance", True),
    "recall@10": ("Recall@10", True),
    "mrr@10": ("MRR@10", True),
    "coverage@10": ("coverage@10", True),
}
"""Heading of a metric, and whether higher is better, in order; others are not shown."""

RECIPES = ("quality", "retrieval")
"""Benchmarks that train the recipes in `examples/`."""

MAIN = ("relevance_ndcg@10", "recall@10", "auc")
"""The first columns; the first of all orders the rows."""


class Cell(NamedTuple):
    """Mean and standard deviation of a metric over the seeds; None of a single value."""

    mean: float
    sd: float | None

    @staticmethod
    def of(values: Sequence[float]) -> Cell:
        """Return the cell of one value per seed.

        >>> str(Cell.of([0.64, 0.66]))
        '0.6500 ± 0.0141'
        """
        sd = statistics.stdev(values) if len(values) > 1 else None
        return Cell(statistics.fmean(values), sd)

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.sd is None else f" ± {self.sd:.4f}")


class Board(NamedTuple):
    """The results of one task in a file.

    Args:
        name: of the file.
        title: of the data set, with the task if it has several.
        facts: data, command, date, machine, versions and seeds.
        cells: by model and metric, those that the page shows.
        report: name of the file with the report of the run, if it is stored.

    """

    name: str
    title: str
    facts: Mapping[str, Any]
    cells: dict[str, dict[str, Cell]]
    report: str | None

    @property
    def metrics(self) -> list[str]:
        """The metrics of its columns, the one that orders its rows first."""
        there = [m for m in METRICS if any(m in found for found in self.cells.values())]
        return sorted(there, key=lambda m: MAIN.index(m) if m in MAIN else len(MAIN))

    @property
    def main(self) -> str:
        """The metric that orders its rows."""
        return self.metrics[0]

    @property
    def recipe(self) -> str | None:
        """The recipe in `examples/` that was trained; None if there is none."""
        benchmark, _, data = Path(self.name).stem.partition("-")
        return data if benchmark in RECIPES else None

    def models(self) -> list[str]:
        """Return the models, best first; last those that lack the main metric."""
        sign = -1 if METRICS[self.main][1] else 1
        known = {m: c[self.main].mean for m, c in self.cells.items() if self.main in c}
        return sorted(self.cells, key=lambda m: (m not in known, sign * known.get(m, 0.0)))


def read_boards(folder: Path) -> list[Board]:
    """Return the results in a folder, in the order of `DATA`."""
    found = [board for path in sorted(folder.glob("*.json")) for board in _boards(path)]
    return sorted(found, key=lambda board: list(DATA).index(board.facts["data"]))


def _boards(path: Path) -> list[Board]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    tasks: dict[str, dict[str, dict[str, Cell]]] = {}
    for one in facts.pop("results"):
        if one["metric"] in METRICS:
            cells = tasks.setdefault(one["task"], {}).setdefault(one["model"], {})
            cells[one["metric"]] = Cell.of(one["values"])
    report = path.with_suffix(".html")
    stored = report.name if report.is_file() else None
    title = DATA[facts["data"]]
    return [
        Board(path.name, f"{title}, {task}" if len(tasks) > 1 else title, facts, cells, stored)
        for task, cells in tasks.items()
    ]


def leaderboard_page(folder: Path) -> str:
    """Return the page of the results in a folder."""
    boards = read_boards(folder)
    return HEAD + "".join(map(_section, boards)) + _by_model(boards)


def name_of(model: str) -> str:
    """Return the name of a model on the page."""
    base, comma, more = model.partition(", ")
    return MODELS.get(base, base.replace("_", " ")) + comma + more


def table_of(board: Board) -> str:
    """Return the table of a file, best model first."""
    rows = [
        [name_of(model), *(_shown(board.cells[model].get(m)) for m in board.metrics)]
        for model in board.models()
    ]
    return _table(["model", *map(_heading, board.metrics)], rows)


def provenance(board: Board) -> str:
    """Return how the results of a file were made, with links to it and to the report."""
    facts, links = board.facts, [_link(board.name, "Values of each seed")]
    links += [] if board.report is None else [_link(board.report, "Report")]
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return (
        f"`{facts['command']}`, {len(facts['seeds'])} seeds, {facts['date']}, {facts['machine']};"
        f" {versions}. {', '.join(links)}."
    )


def _link(file: str, words: str) -> str:
    """Return a link to a file that is copied to the site as it is."""
    return f'<a href="results/{file}">{words}</a>'


def _section(board: Board) -> str:
    return f"## {board.title}\n\n{table_of(board)}\n{provenance(board)}\n\n"


def _by_model(boards: Iterable[Board]) -> str:
    """Return the main metric of each data set by model, for models with several data sets."""
    boards = list(boards)
    models = dict.fromkeys(model for board in boards for model in board.models())
    several = [m for m in models if sum(m in board.cells for board in boards) > 1]
    if not several:
        return ""
    shared = [board for board in boards if board.cells.keys() & set(several)]
    head = [f"{b.title}: {_heading(b.main)}" for b in shared]
    rows = [
        [name_of(m), *(_shown(b.cells.get(m, {}).get(b.main)) for b in shared)] for m in several
    ]
    return f"## By model\n\n{_table(['model', *head], rows)}"


def _heading(metric: str) -> str:
    name, higher = METRICS[metric]
    return f"{name} {'↑' if higher else '↓'}"


def _shown(cell: Cell | None) -> str:
    return "" if cell is None else str(cell)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
