"""Lists of items and runs that retrieve, on the terminal."""

import json

import polars as pl
import pytest

from crosstower.cli.retrieval_tables import (
    NOTHING,
    cell_of,
    example_query,
    nothing_left,
    print_hits,
)
from crosstower.cli.tables import print_any_run
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

Capture = pytest.CaptureFixture[str]
FOUND = pl.DataFrame(
    {
        "rank": [1, 2],
        "item_id": ["a", "b"],
        "score": [0.5, None],
        "title": ["x" * 40, "short"],
        "tags": [["one", "two"], None],
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0.12345, "0.1235"),
        (["a", 1], "a, 1"),
        ("x" * 24, "x" * 24),
        ("x" * 25, "x" * 23 + "…"),
        (
            [{"source": f"a long name {n}", "rank": n, "score": 0.5} for n in (1, 2, 3, 4)],
            "a long name 1 1, a long name 2 2, a long name 3 3, a long name 4 4",
        ),
    ],
)
def test_a_cell_is_one_short_text(value: object, expected: str) -> None:
    assert cell_of(value) == expected


def test_items_are_a_table_or_json(capsys: Capture) -> None:
    print_hits(FOUND, as_json=False)
    out = capsys.readouterr().out
    assert "…" in out
    assert "one, two" in out
    print_hits(FOUND, as_json=True)
    assert json.loads(capsys.readouterr().out) == FOUND.to_dicts()
    print_hits(FOUND.clear(), as_json=False)
    assert capsys.readouterr().out == f"{NOTHING}\n"


def test_an_empty_list_is_explained(film_run: Run) -> None:
    assert nothing_left(Retriever.open(film_run), "5", None) == NOTHING  # nothing is left out


def test_a_run_is_printed_with_a_query_that_it_answers(
    film_run: Run, search_run: Run, capsys: Capture
) -> None:
    print_any_run(film_run)
    out = capsys.readouterr().out
    for words in ("60 items ranked", "two_tower *", "popularity", "by slice", "cold"):
        assert words in out
    assert example_query(film_run) == f"recommend {film_run.folder} --user ID"
    assert example_query(search_run) == f'search {search_run.folder} "TEXT"'
