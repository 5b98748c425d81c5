"""Items by place: ids, attributes, changes."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError, QueryError
from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.index.exact import ExactIndex

from .test_exact import ATTRIBUTES, IDS, VECTORS, D, N


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 64)
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


def test_items_are_added_replaced_and_removed(tmp_path: Path) -> None:
    index = ExactIndex.build([1, 2, 3], np.eye(3), pl.DataFrame({"n": [1, 2, 3]}))
    index.add([3, 4], np.array([[9.0, 0, 0], [5.0, 0, 0]]), pl.DataFrame({"n": [30, 4]}))
    index.remove([2])
    assert len(index.catalogue) == 3
    assert index.search([[1.0, 0, 0]], 5).ids(0).to_list() == [3, 4, 1]
    assert index.search([[1.0, 0, 0]], 5, where="n < 30").ids(0).to_list() == [4, 1]
    index.save(tmp_path / "index")
    opened = ExactIndex.load(tmp_path / "index")
    assert len(opened.vectors) == 3
    assert opened.search([[1.0, 0, 0]], 5).ids(0).to_list() == [3, 4, 1]
    opened.add([2], np.ones((1, 3)), pl.DataFrame({"n": [2]}))
    assert opened.search([[0, 1.0, 0]], 1).ids(0).to_list() == [2]


@pytest.mark.parametrize(
    ("ids", "vectors", "attributes", "words"),
    [
        ([], np.empty((0, 3)), None, "no items"),
        ([1, 2], np.eye(3), None, "2 item ids for 3 vectors"),
        ([1, 1, 2], np.eye(3), None, "item ids: 1 occurs twice"),
        ([1, None, 2], np.eye(3), None, "row 1 has none"),
        ([1, 2, 3], np.full((3, 3), np.inf), None, "item vectors: row 0 is not finite"),
        ([1, 2, 3], np.zeros(3), None, "expected .items, width., got shape"),
        ([1, 2, 3], np.eye(3), {"n": [1]}, "attributes: 1 rows for 3 items"),
    ],
)
def test_items_that_do_not_fit_are_refused(
    ids: list, vectors: np.ndarray, attributes: dict | None, words: str
) -> None:
    table = None if attributes is None else pl.DataFrame(attributes)
    with pytest.raises(QueryError, match=words):
        ExactIndex.build(pl.Series(ids, dtype=pl.Int64), vectors, table)


def test_wrong_changes_are_refused_and_change_nothing(index: ExactIndex) -> None:
    with pytest.raises(QueryError, match="no item 'nope' in the index; nothing was removed"):
        index.remove([IDS[0], "nope"])
    with pytest.raises(QueryError, match="expected width 8, got 3"):
        index.add(["x"], np.ones((1, 3)), ATTRIBUTES[:1])
    with pytest.raises(
        QueryError, match="attributes: expected city String, price Float64, got none"
    ):
        index.add(["x"], np.ones((1, D)))
    with pytest.raises(DataError, match="column 'item_id': expected an id"):
        index.add([0.5], np.ones((1, D)), ATTRIBUTES[:1])
    assert len(index.catalogue) == len(index.vectors) == N


def test_items_without_attributes_are_saved(tmp_path: Path) -> None:
    one = ExactIndex.build(["a", "b"], np.eye(2))
    one.save(tmp_path / "index")
    again = ExactIndex.load(tmp_path / "index")
    assert again.search(np.array([[0.0, 1.0]]), 1, where="item_id != 'b'").ids(0).to_list() == ["a"]


def test_flags_are_attributes_that_are_zero_or_one() -> None:
    table = pl.DataFrame(
        {
            "war": [0, 1, None],
            "sold": [True, None, False],
            "share": [0.0, 1.0, 1.0],
            "stars": [0, 1, 2],
            "half": [0.0, 0.5, 1.0],
            "code": ["0", "1", "0"],
            "tags": [[0], [1], []],
            "empty": pl.Series([None] * 3, dtype=pl.Int64),
        }
    )
    assert Catalogue([1, 2, 3], table).flags == {"war", "sold", "share"}
    assert Catalogue([1, 2, 3]).flags == frozenset()
