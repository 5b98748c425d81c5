"""Items gathered from the rows where there is no table."""

from pathlib import Path

import polars as pl

from crosstower.data.sources.source import open_source
from crosstower.retrieval.data.retrieval_data import prepare_retrieval

from .test_retrieval_data import ROWS, prepared, recipe


def test_items_come_from_all_rows_if_there_is_no_table(tmp_path: Path) -> None:
    rows = ROWS.with_columns(genre=pl.lit("z"))
    data = prepare_retrieval(recipe(where="item > 10"), open_source(rows))
    assert data.items.ids.to_list() == [10, 20, 30, 40, 50]
    assert data.items.attributes.columns == ["item", "genre"]


def test_an_item_never_trained_on_has_no_vocabulary_but_attributes(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    names = [f.name for f in data.encoder.layout.codes]
    codes = data.item_batch.codes
    place = data.items.ids.to_list().index(30)
    assert codes[place, names.index("item")] == 2  # unseen
    assert codes[place, names.index("genre")] > 2
