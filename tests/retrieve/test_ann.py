from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError, RunError
from crosstower.retrieve import ann
from crosstower.retrieve.ann import AnnIndex
from crosstower.retrieve.exact import ExactIndex
from crosstower.retrieve.open_index import open_index

N, D = 3000, 16
RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(60, D))
# Of different lengths, so that the largest inner product is not the nearest direction.
VECTORS = (CENTRES[RANDOM.integers(0, 60, N)] + 0.4 * RANDOM.normal(size=(N, D))).astype(np.float32)
VECTORS *= RANDOM.uniform(0.5, 2.0, (N, 1)).astype(np.float32)
QUERIES = (CENTRES[:40] + 0.3 * RANDOM.normal(size=(40, D))).astype(np.float32)
IDS = [f"i{i}" for i in range(N)]
ATTRIBUTES = pl.DataFrame({"city": RANDOM.choice(["Paris", "Rome", "Oslo"], N)})


@pytest.fixture(scope="module")
def exact() -> ExactIndex:
    return ExactIndex.build(IDS, VECTORS, ATTRIBUTES)


@pytest.fixture
def index() -> AnnIndex:
    return AnnIndex.build(IDS, VECTORS, ATTRIBUTES)


def recall(one: AnnIndex, exact: ExactIndex, **options: object) -> float:
    found, truth = (i.search(QUERIES, 10, **options) for i in (one, exact))  # type: ignore[arg-type]
    return float(
        np.mean([len(set(found.ids(q)) & set(truth.ids(q))) / 10 for q in range(len(QUERIES))])
    )


@pytest.mark.parametrize(
    ("storage", "least"), [("float32", 0.97), ("bfloat16", 0.95), ("int8", 0.85)]
)
def test_it_finds_what_the_exact_index_finds(storage: str, least: float, exact: ExactIndex) -> None:
    index = AnnIndex.build(IDS, VECTORS, ATTRIBUTES, storage=storage)  # type: ignore[arg-type]
    assert recall(index, exact) >= least


def test_scores_are_inner_products(index: AnnIndex) -> None:
    hits = index.search(QUERIES, 5)
    expected = np.take_along_axis(QUERIES @ VECTORS.T, hits.places, 1)
    np.testing.assert_allclose(hits.scores, expected, rtol=1e-3, atol=1e-3)
    assert (np.diff(hits.scores, axis=1) <= 1e-5).all()


@pytest.mark.parametrize("scan", [0, 20_000])
def test_k_results_come_back_where_k_exist(
    index: AnnIndex, exact: ExactIndex, scan: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann, "_SCAN", scan)
    exclude = [exact.search(QUERIES[[i]], 20).ids(0) for i in range(len(QUERIES))]
    hits = index.search(QUERIES, 10, where="city == 'Rome' or city == 'Oslo'", exclude=exclude)
    assert (hits.places >= 0).all()
    for query in range(len(QUERIES)):
        ids = hits.ids(query)
        assert not set(ids) & set(exclude[query])
        assert "Paris" not in set(ATTRIBUTES["city"].gather([int(i[1:]) for i in ids]))
    where = {"where": "city == 'Rome'", "exclude": exclude}
    assert recall(index, exact, **where) >= 0.95


def test_queries_that_the_graph_serves_badly_are_answered_exactly(
    index: AnnIndex, exact: ExactIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann, "_SCAN", 0)
    monkeypatch.setattr(ann, "_SLACK", 0.05)  # asks the graph for far too few
    assert recall(index, exact, where="city == 'Rome'") == 1.0


def test_a_rare_condition_is_answered_exactly(index: AnnIndex, exact: ExactIndex) -> None:
    where = "item_id in ['i7', 'i9', 'i11']"
    hits = index.search(QUERIES, 10, where=where)
    assert sorted(hits.ids(0)) == ["i11", "i7", "i9"]
    assert hits.ids(3).to_list() == exact.search(QUERIES, 10, where=where).ids(3).to_list()


def test_more_than_there_is(index: AnnIndex) -> None:
    hits = index.search(QUERIES[:1], N + 5)
    assert len(hits.ids(0)) == N


def test_a_query_of_zeros_has_an_answer(index: AnnIndex) -> None:
    hits = index.search(np.zeros((1, D)), 3)
    assert len(hits.ids(0)) == 3
    np.testing.assert_allclose(hits.scores, 0.0, atol=1e-5)


def test_items_are_added_replaced_removed_and_saved(tmp_path: Path, index: AnnIndex) -> None:
    best = index.search(QUERIES[:1], 3).ids(0).to_list()
    index.remove(best[:1])
    assert index.search(QUERIES[:1], 2).ids(0).to_list() == best[1:]
    index.add(["new", best[1]], np.stack([QUERIES[0], -QUERIES[0]]), ATTRIBUTES[:2])
    found = index.search(QUERIES[:1], 50).ids(0).to_list()
    assert "new" in found
    assert best[1] not in found
    index.save(tmp_path / "a")
    loaded = open_index(tmp_path / "a", width=D)
    assert isinstance(loaded, AnnIndex)
    assert len(loaded.catalogue) == N
    assert loaded.search(QUERIES[:1], 50).ids(0).to_list() == found
    loaded.remove(["new"])  # a mapped graph becomes one that can be changed
    loaded.add(["newer"], QUERIES[:1], ATTRIBUTES[:1])
    again = loaded.search(QUERIES[:1], 50).ids(0).to_list()
    assert "newer" in again
    assert "new" not in again
    loaded.save(tmp_path / "b")
    assert open_index(tmp_path / "b").search(QUERIES[:1], 50).ids(0).to_list() == again


@pytest.mark.parametrize("name", ["graph.usearch", "keys.npy", "vectors.npy", "index.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_file_cut_short_is_refused(
    tmp_path: Path, index: AnnIndex, name: str, share: float
) -> None:
    index.save(tmp_path / "a")
    path = tmp_path / "a" / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(RunError, match="damaged"):
        open_index(tmp_path / "a")


def test_an_index_of_another_models_width_is_refused(tmp_path: Path, index: AnnIndex) -> None:
    index.save(tmp_path / "a")
    with pytest.raises(
        RunError, match=r"vectors of width 16, the model's have 32.*build the index"
    ):
        open_index(tmp_path / "a", width=32)
    with pytest.raises(QueryError, match=r"expected \[queries, 16\]"):
        index.search(np.ones((1, 3)), 1)


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(ann.importlib, "import_module", missing)
    with pytest.raises(QueryError, match=r"crosstower\[ann\]"):
        AnnIndex.build(IDS, VECTORS)
