"""The leaderboard of the site: its figures, and those of the same runs in the documentation."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from crosstower.training.run import Run

from .serving.http.page.browsing import browser, tab

__all__ = ["browser"]

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
FILES = sorted(RESULTS.glob("*.json"))
SHOWN = {
    "quality-adult.json": [("docs/benchmarks.md", "Adult (48,842 people")],
    "quality-movielens.json": [("docs/benchmarks.md", "MovieLens 100k (rating of 4 or more")],
    "losses-restaurants.json": [("docs/benchmarks.md", "## Losses of rankers")],
}
"""Page and text before the table that shows the means of a file."""


@pytest.fixture
def leaderboard(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    sys.modules.pop("leaderboard", None)
    import leaderboard

    return leaderboard


def table_after(page: str, text: str) -> list[list[str]]:
    """Return the heading and the rows of the first table after a text."""
    rest = (ROOT / page).read_text(encoding="utf-8").split(text)[1]
    table = rest[rest.index("\n|") + 1 :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    return [rows[0], *rows[2:]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_where_its_figures_come_from(path: Path, leaderboard: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found.keys() == {"data", "command", "date", "machine", "versions", "seeds", "results"}
    assert found["data"] in leaderboard.DATA
    assert re.fullmatch(r"python -m benchmarks \w+ --\w+ .*", found["command"])
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", found["date"])
    assert "torch" in found["versions"]
    for one in found["results"]:
        assert one.keys() == {"task", "model", "metric", "values"}
        assert len(one["values"]) in {1, len(found["seeds"])}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_means_in_the_documentation_are_those_of_the_seeds(path: Path, leaderboard: Any) -> None:
    (board,) = [one for one in leaderboard.read_boards(RESULTS) if one.name == path.name]
    headings = {leaderboard.METRICS[metric][0]: metric for metric in board.metrics}
    by_name = {leaderboard.name_of(model): found for model, found in board.cells.items()}
    by_name |= {model.rpartition(", ")[2]: found for model, found in board.cells.items()}
    for page, text in SHOWN[path.name]:
        head, *rows = table_after(page, text)
        compared = 0
        for name, *cells in rows:
            for heading, cell in zip(head[1:], cells, strict=True):
                if heading in headings and name in by_name:
                    expected = str(by_name[name][headings[heading]])
                    assert cell.partition(" → ")[0] == expected, (name, heading)
                    compared += 1
        assert compared >= 6


def test_the_readme_shows_the_same_means(leaderboard: Any) -> None:
    boards = {board.name: board for board in leaderboard.read_boards(RESULTS)}
    _, _, *rows = table_after("README.md", "Test AUC and log loss of the recipes")
    assert len(rows) == 4
    for name, *cells in rows:
        for file, shown in {"adult": cells[:2], "movielens": cells[2:]}.items():
            if (board := boards.get(f"quality-{file}.json")) is not None:
                (found,) = [c for m, c in board.cells.items() if leaderboard.name_of(m) == name]
                assert shown == [str(found["auc"]), str(found["log_loss"])], (name, file)


def result(model: str, metric: str, values: list[float]) -> dict[str, Any]:
    return {"task": "income", "model": model, "metric": metric, "values": values}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two data sets with known means, and a model that is in both."""
    facts = {
        "command": "python -m benchmarks quality --data adult --seeds 2",
        "date": "2026-01-31",
        "machine": "2 cores",
        "versions": {"torch": "2.13.0"},
        "seeds": [0, 1],
    }
    adult = [
        result("mlp", "auc", [0.80, 0.82]),
        result("mlp", "log_loss", [0.30, 0.31]),
        result("dcn_v2", "auc", [0.90, 0.91]),
        result("dcn_v2", "log_loss", [0.50, 0.51]),
        result("wide_deep", "auc", [0.70, 0.71]),
        result("mlp", "unknown", [1.0, 2.0]),
    ]
    movielens = [result("mlp", "auc", [0.7, 0.7])]
    for name, rows in (("adult", adult), ("movielens", movielens)):
        text = json.dumps({"data": name, **facts, "results": rows})
        (tmp_path / f"quality-{name}.json").write_text(text)
    return tmp_path


def test_models_are_grouped_by_data_set_and_best_first(leaderboard: Any, results: Path) -> None:
    page = leaderboard.leaderboard_page(results)
    sd = np.std([0.80, 0.82], ddof=1)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert lines[:5] == [
        "| model | AUC ↑ | log loss ↓ |",
        "| --- | ---: | ---: |",
        "| DCN-V2 | 0.9050 ± 0.0071 | 0.5050 ± 0.0071 |",
        f"| MLP | 0.8100 ± {sd:.4f} | 0.3050 ± 0.0071 |",
        "| Wide & Deep | 0.7050 ± 0.0071 |  |",
    ]
    assert lines[-1] == f"| MLP | 0.8100 ± {sd:.4f} | 0.7000 ± 0.0000 |"
    assert "2 seeds, 2026-01-31, 2 cores; torch 2.13.0" in page


def test_tasks_of_one_file_are_told_apart(leaderboard: Any, results: Path) -> None:
    path = results / "quality-movielens.json"
    found = json.loads(path.read_text())
    found["results"] += [result("mlp", "auc", [0.6, 0.6]) | {"task": "liked"}]
    path.write_text(json.dumps(found))
    boards = [one for one in leaderboard.read_boards(results) if one.name == path.name]
    assert [one.title.rpartition(", ")[2] for one in boards] == ["income", "liked"]
    assert [one.cells["mlp"]["auc"].mean for one in boards] == pytest.approx([0.7, 0.6])


def test_a_click_on_a_heading_sorts(leaderboard: Any, results: Path, browser: Browser) -> None:
    page = leaderboard.leaderboard_page(results).split("## By model")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    head = "".join(f"<th><p>{cell}</p></th>" for cell in rows[0])
    body = ["".join(f"<td>{cell}</td>" for cell in (*row, "")[:3]) for row in rows[2:5]]
    table = f"<tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in body)}</tbody>"
    script = (ROOT / "docs/site/static/sortable.js").read_text()
    with tab(browser) as found:
        found.set_content(
            f"<section id=leaderboard><table><thead>{table}</table></section>"
            f"<script>{script}</script>"
        )
        names = found.locator("tbody td:first-child")
        heading = found.get_by_role("button", name="log loss ↓")
        heading.click()
        assert names.all_inner_texts() == ["MLP", "DCN-V2", "Wide & Deep"]
        heading.press("Enter")
        assert names.all_inner_texts() == ["DCN-V2", "MLP", "Wide & Deep"]
        found.get_by_role("button", name="AUC ↑").click()
        assert names.all_inner_texts() == ["DCN-V2", "MLP", "Wide & Deep"]
        assert found.locator("th[aria-sort=descending]").inner_text() == "AUC ↑"
        found.get_by_role("button", name="model").click()
        assert names.all_inner_texts() == ["DCN-V2", "MLP", "Wide & Deep"]


@pytest.fixture
def per_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("CROSSTOWER_DATA", str(tmp_path))
    return importlib.import_module("benchmarks.per_seed")


def test_figures_of_seeds_have_the_mean_of_the_run(
    per_seed: Any, rankers: tuple[Run, ...], film_run: Run
) -> None:
    for run in (rankers[0], film_run):
        tasks = run.metrics.get("tasks") or {"retrieval": run.metrics["retrieval"]}
        found = {(f["task"], f["model"], f["metric"]): f["values"] for f in per_seed.figures(run)}
        for task, models in tasks.items():
            for model in run.info.models:
                for metric, summary in models[model].items():
                    if summary["mean"] is not None and summary["sd"] is not None:
                        values = found[task, model, metric]
                        assert np.mean(values) == pytest.approx(summary["mean"])
                        assert np.std(values, ddof=1) == pytest.approx(summary["sd"])


def test_a_run_is_written_with_its_command_and_its_report(
    per_seed: Any, leaderboard: Any, rankers: tuple[Run, ...], tmp_path: Path
) -> None:
    options = {"benchmark": "quality", "data": "adult", "overrides": ["training.epochs=2"]}
    per_seed.write_run(tmp_path / "results", rankers[0], **options)
    (board,) = leaderboard.read_boards(tmp_path / "results")
    command = "python -m benchmarks quality --data adult --seeds 2 -o training.epochs=2"
    assert board.facts["command"] == command
    task = rankers[0].metrics["tasks"]["click"]
    for model, cells in board.cells.items():
        assert cells["auc"].mean == pytest.approx(task[model]["auc"]["mean"], abs=1e-6)
    assert board.recipe == "adult"
    assert 'href="results/quality-adult.html"' in leaderboard.provenance(board)
    assert "<html" in (tmp_path / "results" / "quality-adult.html").read_text()
