import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.errors import RunError
from crosstower.retrieval.index import nearest_items
from crosstower.retrieval.index.exact import ExactIndex

N, D = 500, 8
RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(N, D)).astype(np.float32)
QUERIES = RANDOM.normal(size=(7, D)).astype(np.float32)
IDS = [f"item-{i}" for i in RANDOM.permutation(N)]
ATTRIBUTES = pl.DataFrame(
    {"city": RANDOM.choice(["Paris", "Rome"], N), "price": RANDOM.uniform(10, 200, N)}
)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> ExactIndex:
    monkeypatch.setattr(nearest_items, "_MOST_ITEMS", 64)
    monkeypatch.setattr(nearest_items, "_QUERY_BLOCK", 3)
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


def oracle(keep: np.ndarray, k: int, query: int, exclude: set[str] = frozenset()) -> list[str]:
    scores = VECTORS.astype(np.float64) @ QUERIES[query]
    order = [i for i in np.argsort(-scores) if keep[i] and IDS[i] not in exclude]
    return [IDS[i] for i in order[:k]]


EVERYTHING = np.ones(N, bool)


@pytest.mark.parametrize("k", [1, 10, 64, 499])
def test_the_best_items_of_every_query_in_order(index: ExactIndex, k: int) -> None:
    hits = index.search(QUERIES, k)
    for query in range(len(QUERIES)):
        assert hits.ids(query).to_list() == oracle(EVERYTHING, k, query)
    np.testing.assert_allclose(
        hits.scores[0], np.sort(VECTORS @ QUERIES[0])[::-1][:k], rtol=1e-4, atol=1e-5
    )


def test_a_filter_gives_k_results_where_k_exist(index: ExactIndex) -> None:
    keep = ((ATTRIBUTES["city"] == "Paris") & (ATTRIBUTES["price"] < 40)).to_numpy()
    hits = index.search(QUERIES, 20, where="city == 'Paris' and price < 40")
    assert keep.sum() > 20
    for query in range(len(QUERIES)):
        assert hits.ids(query).to_list() == oracle(keep, 20, query)


def test_fewer_than_k_items_give_what_there_is(index: ExactIndex) -> None:
    keep = (ATTRIBUTES["price"] < 12).to_numpy()
    hits = index.search(QUERIES, 50, where="price < 12")
    assert hits.ids(0).to_list() == oracle(keep, 50, 0)
    assert (hits.places[:, keep.sum() :] == -1).all()
    assert len(index.search(QUERIES, 5, where="price < 0").frame()) == 0


@settings(max_examples=25)
@given(st.lists(st.sets(st.sampled_from(IDS), max_size=60), min_size=7, max_size=7))
def test_excluded_items_are_replaced_by_the_next_best(exclude: list[set[str]]) -> None:
    index = ExactIndex.build(IDS, VECTORS)
    hits = index.search(QUERIES, 30, exclude=[[*e, "unknown"] for e in exclude])
    for query, left_out in enumerate(exclude):
        assert hits.ids(query).to_list() == oracle(EVERYTHING, 30, query, left_out)


def test_filters_and_exclusions_together(index: ExactIndex) -> None:
    keep = (ATTRIBUTES["city"] == "Rome").to_numpy()
    seen = [oracle(keep, 9, q)[::2] for q in range(len(QUERIES))]
    hits = index.search(QUERIES, 15, where="city == 'Rome'", exclude=seen)
    for query in range(len(QUERIES)):
        assert hits.ids(query).to_list() == oracle(keep, 15, query, set(seen[query]))


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
def test_a_saved_index_finds_the_same(tmp_path: Path, storage: str) -> None:
    index = ExactIndex.build(IDS, VECTORS, ATTRIBUTES, storage=storage)  # type: ignore[arg-type]
    index.save(tmp_path / "index")
    opened = ExactIndex.load(tmp_path / "index")
    one, other = (i.search(QUERIES, 9, where="price < 90").frame() for i in (index, opened))
    assert one.equals(other)
    assert isinstance(opened.vectors.stored, np.memmap)


def test_an_index_of_an_older_format_is_named(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    path = tmp_path / "index" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    older = r"index\.json: written by an older Crosstower \(format 1, .*; build the index again"
    with pytest.raises(RunError, match=older):
        ExactIndex.load(tmp_path / "index")


def test_saving_never_overwrites(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    with pytest.raises(RunError, match="already exists"):
        index.save(tmp_path / "index")
    with pytest.raises(RunError, match="no index in this folder"):
        ExactIndex.load(tmp_path)
