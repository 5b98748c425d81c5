"""Files of vectors: as written, and as others write them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError, QueryError
from crosstower.serving.vectors.vector_file import ItemVectors, read_vectors, write_vectors


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for ids in ([7, 2, 5], ["a", "b", 7]):
        write_vectors(tmp_path / "vectors.parquet", ItemVectors(ids, vectors, "abc"))
        found = read_vectors(tmp_path / "vectors.parquet")
        assert [str(i) for i in found.ids] == [str(i) for i in ids]
        assert found.weights == "abc"
        np.testing.assert_array_equal(found.vectors, vectors)
    empty = ItemVectors([], vectors[:0], "abc")
    write_vectors(tmp_path / "vectors.parquet", empty)
    assert read_vectors(tmp_path / "vectors.parquet").ids == []


def test_a_file_of_polars_is_read_with_given_weights(tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    pl.DataFrame({"item_id": ["7", "b"], "vector": [[1.0, 2.0], [3.0, 4.0]]}).write_parquet(path)
    found = read_vectors(path, weights="abc")
    assert (found.ids, found.vectors.tolist()) == ([7, "b"], [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(DataError, match=r"does not say which weights .* or give --weights"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"item": [1], "vector": [[1.0]]}, "no column 'item_id'; it has: item, vector"),
        ({"item_id": [1, 1], "vector": [[1.0], [2.0]]}, "has an item twice"),
        ({"item_id": [1, 2], "vector": [[1.0], [2.0, 3.0]]}, "of the same length"),
        (
            {"item_id": [1, 2], "vector": [[1.0], [float("nan")]]},
            r"from -1e\+15 to 1e\+15, got others in row 1",
        ),
        ({"item_id": [1], "vector": [[1e39]]}, r"to 1e\+15, got others in row 0"),
        ({"item_id": [1], "vector": [[-2e15]]}, r"to 1e\+15, got others in row 0"),
        ({"item_id": [1], "vector": [1.0]}, "expected lists of numbers, got Float64"),
        ({"item_id": [1], "vector": ["x"]}, "expected lists of numbers"),
        ({"item_id": [1], "vector": [None]}, "expected lists"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, columns: dict, words: str) -> None:
    pl.DataFrame(columns).write_parquet(tmp_path / "own.parquet")
    with pytest.raises(DataError, match=words):
        read_vectors(tmp_path / "own.parquet", weights="abc")


def test_no_file_and_an_empty_id_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.parquet: cannot be read"):
        read_vectors(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"bad\.parquet: cannot be read"):
        read_vectors(tmp_path / "bad.parquet")
    pl.DataFrame({"item_id": [""], "vector": [[1.0]]}).write_parquet(tmp_path / "own.parquet")
    with pytest.raises(QueryError, match="'item_id': expected an id"):
        read_vectors(tmp_path / "own.parquet", weights="abc")
