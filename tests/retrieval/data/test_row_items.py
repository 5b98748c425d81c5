"""Items gathered from the rows where there is no table."""

from pathlib import Path

import polars as pl
import pytest

from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.retrieval.data.retrieval_data import prepare_retrieval
from crosstower.retrieval.data.row_items import canonical_ids

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


@pytest.mark.parametrize("on_bad_rows", ["error", "skip"])
def test_a_column_that_holds_no_ids_is_named(on_bad_rows: str) -> None:
    with pytest.raises(DataError, match=r"^column 'item': expected single values"):
        canonical_ids("item", pl.Series("\0raw:item", [{"a": 1}]), on_bad_rows)
