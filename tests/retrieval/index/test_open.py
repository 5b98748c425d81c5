from pathlib import Path

import numpy as np
import polars as pl
import pytest

import crosstower as ct

IDS, VECTORS = ["a", "b", "c"], np.eye(3)
QUERY = np.array([[0.0, 2.0, 1.0]])


@pytest.mark.parametrize("kind", ["exact", "ann"])
def test_a_built_index_can_be_saved_and_opened(kind: str, tmp_path: Path) -> None:
    index = ct.Index.build(IDS, VECTORS, pl.DataFrame({"price": [1, 2, 3]}), kind=kind)  # type: ignore[arg-type]
    index.save(tmp_path / "index")
    opened = ct.Index.open(tmp_path / "index")
    assert type(opened) is type(index)
    assert opened.search(QUERY, k=2).ids(0).to_list() == ["b", "c"]
    assert opened.search(QUERY, k=2, where="price >= 3").ids(0).to_list() == ["c"]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ct.QueryError, match=r"index: no index engine 'hnsw'; allowed: ann, exact"):
        ct.Index.build(IDS, VECTORS, kind="hnsw")


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ct.RunError, match="no index in this folder"):
        ct.Index.open(tmp_path)
