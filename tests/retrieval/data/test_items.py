"""Items of a table."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.retrieval.data.retrieval_data import prepare_retrieval

from .test_retrieval_data import ITEMS, ROWS, prepared, recipe


def test_items_whose_columns_no_training_row_has_are_counted(tmp_path: Path) -> None:
    rows = ROWS.with_columns(genre=pl.lit("x"), stars=pl.lit(4))
    others = rows[[0]].with_columns(item=pl.lit(40, pl.Int64), stars=pl.lit(1))
    data = prepared(tmp_path, pl.concat([rows, others]), items=None, where="stars == 4")
    catalogue = next(note for note in data.facts.notes if " items, " in note)
    assert catalogue == (
        "5 items, 3 of them without a training positive; the columns of 2 are missing, as no"
        " training row has them: give all items a table (retrieval.items)"
    )


def test_items_missing_from_the_table(tmp_path: Path) -> None:
    rows = pl.concat([ROWS, ROWS.head(1).with_columns(item=pl.lit(99, pl.Int64))])
    with pytest.raises(DataError, match=r"item 99 is not in the item table: 1 of 10 rows"):
        prepared(tmp_path, rows)
    skipping = recipe(items=str(tmp_path / "items.parquet"))
    data = skipping.data.model_copy(update={"on_bad_rows": "skip"})
    skipped = prepare_retrieval(skipping.model_copy(update={"data": data}), open_source(rows))
    assert "1 rows left out for 'item'" in skipped.facts.notes


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (ITEMS.head(0), "no rows"),
        (pl.concat([ITEMS, ITEMS.head(1)]), "item 50 occurs twice"),
        (ITEMS.drop("genre"), "no column 'genre'"),
        (ITEMS.with_columns(item=pl.lit(None, pl.Int64)), "row 0 has no item"),
    ],
)
def test_wrong_item_tables(tmp_path: Path, table: pl.DataFrame, words: str) -> None:
    table.write_parquet(tmp_path / "wrong.parquet")
    with pytest.raises(DataError, match=words):
        prepare_retrieval(recipe(items=str(tmp_path / "wrong.parquet")), open_source(ROWS))
