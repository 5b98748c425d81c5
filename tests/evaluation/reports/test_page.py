import math
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import RunError
from crosstower.evaluation.metrics.summary import Summary
from crosstower.evaluation.reports.content import ModelMetrics
from crosstower.evaluation.reports.page import (
    Card,
    Facts,
    Items,
    Key,
    Plot,
    Plots,
    Section,
    Table,
    Text,
    frame_table,
    metrics_table,
    number,
    percent,
    render_page,
    signed,
    signed_percent,
    write_page,
)

from .conftest import Page

HOSTILE = "<script>alert('x')</script>"
BLOCKS = [
    Text("heading", HOSTILE),
    Text("text", HOSTILE),
    Text("note", HOSTILE),
    Text("source", HOSTILE),
    Items("verdicts", [HOSTILE]),
    Items("notes", [HOSTILE]),
    Items("legend", [Key('<svg class="key"></svg>', HOSTILE)]),
    Facts([(HOSTILE, HOSTILE)]),
    Table(HOSTILE, [HOSTILE], [[HOSTILE, HOSTILE]], ["model"]),
    Plots([Plot(HOSTILE, HOSTILE, "<svg></svg>", HOSTILE, HOSTILE)], "pair", HOSTILE),
]


def test_every_block_escapes_what_it_shows() -> None:
    card = Card(HOSTILE, "a", HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)])
    html = render_page(HOSTILE, HOSTILE, HOSTILE, [Section("a", HOSTILE, BLOCKS, HOSTILE)], [card])
    page = Page(html)
    assert page.open == []
    assert "<script" not in html
    assert html.count("<svg") == 2
    assert page.words.count(HOSTILE) == 27


def test_a_section_without_blocks_is_left_out() -> None:
    html = render_page("a", "b", "c", [Section("empty", "Empty", []), Section("d", "D", BLOCKS)])
    assert "Empty" not in html
    assert html.count("<section") == 1


def test_a_table_of_metrics_has_mean_spread_and_interval_on_lines() -> None:
    metrics = {
        "auc": Summary.of([0.6, 0.8]),
        "share.a": Summary.of([0.25, 0.25]),
        "total.b": Summary(1234.5678),
        "rmse": Summary(math.nan),
    }
    intervals = {"share.a": (0.2, 0.3), "auc": (math.nan, math.nan)}
    model = ModelMetrics("ours", "model", metrics, intervals)
    other = ModelMetrics("other", "baseline", {})
    table = metrics_table("t", "Model", {m: m.upper() for m in metrics}, [model, other])
    assert table.columns == ["Model", "AUC", "SHARE.A", "TOTAL.B", "RMSE"]
    assert table.rows == [
        ["ours", "0.7000\n± 0.1414", "25.0 %\n20.0 to 30.0 %", "1,234.568", "–"],
        ["other", "–", "–", "–", "–"],
    ]
    assert table.roles == ["model", "baseline"]


def test_a_table_of_a_frame_names_what_is_missing() -> None:
    frame = pl.DataFrame({"type": ["a", None], "rows": [1234, 2], "ece": [0.5, math.nan]})
    table = frame_table("t", ["Type", "Rows", "ECE"], frame)
    assert table.rows == [["a", "1,234", "0.5000"], ["missing", "2", "–"]]


def test_numbers_as_text() -> None:
    assert [number(1234), number(0.12345), number(math.nan)] == ["1,234", "0.1235", "–"]
    assert [signed(-0.5), signed(0.5), signed(math.nan)] == ["−0.5000", "+0.5000", "–"]
    assert [percent(0.125), percent(math.nan)] == ["12.5 %", "–"]
    assert [signed_percent(-0.125), signed_percent(math.nan)] == ["−12.50 %", "–"]


def test_a_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = write_page(tmp_path / "new" / "page.html", "é")
    assert path.read_text(encoding="utf-8") == "é"
    with pytest.raises(RunError, match=r"report .*page\.html/x: cannot be written"):
        write_page(path / "x", "")
