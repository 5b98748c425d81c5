import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.errors import DataError, QueryError, RunError
from crosstower.retrieval.index import top_k as top
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
    monkeypatch.setattr(top, "_MOST_ITEMS", 64)
    monkeypatch.setattr(top, "_QUERY_BLOCK", 3)
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


def test_a_frame_has_a_row_a_hit(index: ExactIndex) -> None:
    frame = index.search(QUERIES[:2], 3).frame()
    assert frame["query"].to_list() == [0, 0, 0, 1, 1, 1]
    assert frame["rank"].to_list() == [1, 2, 3, 1, 2, 3]
    assert frame["item_id"].to_list()[:3] == oracle(EVERYTHING, 3, 0)


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


@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
def test_a_saved_index_answers_the_same(tmp_path: Path, storage: str) -> None:
    index = ExactIndex.build(IDS, VECTORS, ATTRIBUTES, storage=storage)  # type: ignore[arg-type]
    index.save(tmp_path / "index")
    opened = ExactIndex.load(tmp_path / "index")
    one, other = (i.search(QUERIES, 9, where="price < 90").frame() for i in (index, opened))
    assert one.equals(other)
    assert isinstance(opened.vectors.stored, np.memmap)


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
        ([1, 1, 2], np.eye(3), None, "item ids: 1 is there twice"),
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


def test_wrong_questions_are_refused(index: ExactIndex) -> None:
    with pytest.raises(QueryError, match=r"expected \[queries, 8\], got shape \[1, 3\]"):
        index.search(np.zeros((1, 3)), 5)
    with pytest.raises(QueryError, match="a number is not finite"):
        index.search(np.full((1, D), np.nan), 5)
    with pytest.raises(QueryError, match="k: expected at least 1, got 0"):
        index.search(QUERIES, 0)
    with pytest.raises(QueryError, match="1 lists for 7 queries"):
        index.search(QUERIES, 5, exclude=[[]])
    with pytest.raises(QueryError, match="did you mean 'price'"):
        index.search(QUERIES, 5, where="prize < 3")


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


@pytest.mark.parametrize("name", ["vectors.npy", "items.parquet", "index.json"])
def test_a_file_cut_short_is_refused(tmp_path: Path, index: ExactIndex, name: str) -> None:
    index.save(tmp_path / "index")
    path = tmp_path / "index" / name
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RunError, match=rf"{name}: damaged"):
        ExactIndex.load(tmp_path / "index")


def test_an_index_of_an_older_format_is_named(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    path = tmp_path / "index" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    older = r"index\.json: written by an older Crosstower \(format 1, .*; build the index again"
    with pytest.raises(RunError, match=older):
        ExactIndex.load(tmp_path / "index")


def test_vectors_of_another_shape_are_refused(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    np.save(tmp_path / "index" / "vectors.npy", VECTORS[:, :3])
    with pytest.raises(RunError, match=r"holds float32 \[500, 3\] where the index has"):
        ExactIndex.load(tmp_path / "index")


def test_saving_never_overwrites(tmp_path: Path, index: ExactIndex) -> None:
    index.save(tmp_path / "index")
    with pytest.raises(RunError, match="already exists"):
        index.save(tmp_path / "index")
    with pytest.raises(RunError, match="no index in this folder"):
        ExactIndex.load(tmp_path)


def test_items_without_attributes_are_saved(tmp_path: Path) -> None:
    one = ExactIndex.build(["a", "b"], np.eye(2))
    one.save(tmp_path / "index")
    again = ExactIndex.load(tmp_path / "index")
    assert again.search(np.array([[0.0, 1.0]]), 1, where="item_id != 'b'").ids(0).to_list() == ["a"]
