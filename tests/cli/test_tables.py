"""Tables and sentences on the terminal."""

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from crosstower.cli.tables import (
    cell,
    console,
    indented,
    print_blend_findings,
    print_data,
    print_run,
    print_table,
)
from crosstower.evaluation.metrics.summary import Summary
from crosstower.training.run import Run

Capture = pytest.CaptureFixture[str]


def test_a_cell_is_short_and_an_undefined_metric_a_dash() -> None:
    assert cell(None) == cell(Summary.of([float("nan")])) == "–"
    assert cell(Summary.of([0.5])) == "0.5000"
    assert " " not in cell(Summary.of([0.5, 0.6]))


def test_numbers_stand_to_the_right_and_names_to_the_left(capsys: Capture) -> None:
    print_table("Title", ["", "Value", "Words"], [["a", "1", "x"], ["b", "12345", "longer"]])
    lines = [line.split("\n")[0] for line in capsys.readouterr().out.splitlines()]
    one, two = (next(line for line in lines if line.strip().startswith(n)) for n in ("a ", "b "))
    assert one.index("1") == two.index("5")
    assert one.index("x") == two.index("l")


def test_given_names_are_no_markup(capsys: Capture) -> None:
    print_table(None, ["", "x"], [["[red]name[/red]", "1"]])
    assert "[red]name[/red]" in capsys.readouterr().out
    assert console().width == 100


def test_a_sentence_keeps_its_indent_on_every_line() -> None:
    out = Console(width=30, record=True, file=StringIO())
    out.print(indented("word " * 12))
    lines = out.export_text().splitlines()
    assert len(lines) > 1
    assert all(line.startswith("  word") for line in lines if line.strip())


def test_a_run_is_printed_with_metrics_and_the_next_command(feed_run: Run, capsys: Capture) -> None:
    print_run(feed_run)
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 100
    for words in ("like:", "comment:", "AUC", "shared_bottom *", "peak memory", "Seed"):
        assert words in out
    assert f"crosstower predict {feed_run.folder}" in out.replace("\n", "")


def test_rows_are_counted_by_split(feed_run: Run, capsys: Capture) -> None:
    print_data(feed_run)
    rows = feed_run.info.facts.rows
    assert f"train {rows['train']:,}, valid {rows['valid']:,}, test" in capsys.readouterr().out


def test_a_blend_is_told_only_where_there_is_one(
    feed_run: Run, tmp_path: Path, capsys: Capture
) -> None:
    print_blend_findings(feed_run)
    assert capsys.readouterr().out == ""
    found = {"sentences": ["The blend is better."], "notes": ["A note."]}
    (tmp_path / "blended.json").write_text(json.dumps(found))
    run = replace(feed_run, folder=tmp_path)
    print_blend_findings(run)
    out = capsys.readouterr().out
    assert "  The blend is better." in out
    assert "  A note." in out
