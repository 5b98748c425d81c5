"""Item vectors in one array."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crosstower.errors import RunError
from crosstower.retrieval.index import vectors as top
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.vectors import Vectors, largest, top_places

from .test_exact import ATTRIBUTES, EVERYTHING, IDS, QUERIES, VECTORS, D, N, oracle


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(top, "_MOST_ITEMS", 64)
    monkeypatch.setattr(top, "_QUERY_BLOCK", 3)
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


def sorted_scores(scores: torch.Tensor, k: int) -> np.ndarray:
    return -np.sort(-scores.numpy(), axis=1)[:, :k]


@pytest.mark.parametrize("columns", [5, 640, 2_560, 2_561, 2_591, 7_000])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_the_largest_are_those_of_a_sort(columns: int, k: int) -> None:
    scores = torch.randn(7, columns, generator=torch.Generator().manual_seed(columns))
    k = min(k, columns)
    values, at = largest(scores, k)
    np.testing.assert_array_equal(values, sorted_scores(scores, k))
    np.testing.assert_array_equal(scores.gather(1, at), values)
    assert all(len(set(row)) == k for row in at.tolist())


def test_equal_scores_are_found_once_each() -> None:
    scores = torch.randint(0, 4, (5, 4_000), generator=torch.Generator().manual_seed(1)).float()
    values, at = largest(scores, 30)
    np.testing.assert_array_equal(values, sorted_scores(scores, 30))
    assert all(len(set(row)) == 30 for row in at.tolist())


def test_a_row_of_which_little_may_be_shown() -> None:
    scores = torch.full((3, 4_001), -torch.inf)
    scores[0, [17, 4_000]] = torch.tensor([1.0, 2.0])
    values, at = largest(scores, 10)
    assert at[0, :2].tolist() == [4_000, 17]
    assert values[0, :2].tolist() == [2.0, 1.0]
    assert bool((values[1:] == -torch.inf).all())
    assert int(at.max()) <= 4_000


def test_places_beyond_what_may_be_shown_are_empty() -> None:
    vectors = Vectors.encode(np.eye(3_000, 8, dtype=np.float32) + 1.0, "float32")
    queries = torch.ones(2, 8)
    gone = np.arange(2_998)
    places, scores = top_places(queries, vectors, 5, excluded=(np.zeros(2_998, np.int64), gone))
    assert sorted(places[0].tolist()) == [-1, -1, -1, 2_998, 2_999]
    assert np.isneginf(scores[0]).sum() == 3
    assert (places[1] >= 0).all()
