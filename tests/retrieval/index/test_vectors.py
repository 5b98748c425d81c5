"""Item vectors in one array."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crosstower.errors import RunError
from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.vectors import Vectors, top_places

from .test_exact import ATTRIBUTES, EVERYTHING, IDS, QUERIES, VECTORS, D, N, oracle


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 64)
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.mark.parametrize(("storage", "recall"), [("bfloat16", 0.97), ("int8", 0.95)])
def test_smaller_storage_finds_nearly_the_same(storage: str, recall: float) -> None:
    small = ExactIndex.build(IDS, VECTORS, storage=storage)  # type: ignore[arg-type]
    same = [
        len(set(small.search(QUERIES, 20).ids(q)) & set(oracle(EVERYTHING, 20, q))) / 20
        for q in range(len(QUERIES))
    ]
    assert np.mean(same) >= recall
    bytes_a_number = {"bfloat16": 2, "int8": 1}[storage]
    assert small.vectors.stored.nbytes == N * D * bytes_a_number


def test_vectors_of_another_shape_are_refused(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    np.save(tmp_path / "index" / "vectors.npy", VECTORS[:, :3])
    with pytest.raises(RunError, match=r"holds float32 \[500, 3\] where the index has"):
        ExactIndex.load(tmp_path / "index")


def test_places_beyond_what_may_be_shown_are_empty() -> None:
    vectors = Vectors.encode(np.eye(3_000, 8, dtype=np.float32) + 1.0, "float32")
    queries = torch.ones(2, 8)
    gone = np.arange(2_998)
    places, scores = top_places(queries, vectors, 5, excluded=(np.zeros(2_998, np.int64), gone))
    assert sorted(places[0].tolist()) == [-1, -1, -1, 2_998, 2_999]
    assert np.isneginf(scores[0]).sum() == 3
    assert (places[1] >= 0).all()
