from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstower.errors import QueryError, RunError
from crosstower.retrieval.index import blocks
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.index.open import open_index
from crosstower.retrieval.index.vectors import Storage

from .conftest import ATTRIBUTES, IDS, QUERIES, VECTORS, D, N

pytestmark = pytest.mark.usefixtures("small")


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


def test_k_results_come_back_where_k_exist(index: AnnIndex, exact: ExactIndex) -> None:
    exclude = [exact.search(QUERIES[[i]], 20).ids(0) for i in range(len(QUERIES))]
    hits = index.search(QUERIES, 10, where="city == 'Rome' or city == 'Oslo'", exclude=exclude)
    assert (hits.places >= 0).all()
    for query in range(len(QUERIES)):
        ids = hits.ids(query)
        assert not set(ids) & set(exclude[query])
        assert "Paris" not in set(ATTRIBUTES["city"].gather([int(i[1:]) for i in ids]))
    where = {"where": "city == 'Rome'", "exclude": exclude}
    assert recall(index, exact, **where) >= 0.95


@pytest.mark.parametrize("share", [0.5, 0.2, 0.05])
def test_a_condition_gives_the_same_items_each_time(share: float) -> None:
    table = pl.DataFrame({"u": np.random.default_rng(1).random(N)})
    index, exact = (one.build(IDS, VECTORS, table) for one in (AnnIndex, ExactIndex))
    where = f"u < {share}"
    found = [index.search(QUERIES, 10, where=where).frame() for _ in range(4)]
    assert all(one["item_id"].equals(found[0]["item_id"]) for one in found[1:])
    assert (table["u"].gather([int(i[1:]) for i in found[0]["item_id"]]) < share).all()
    assert recall(index, exact, where=where) >= 0.95


def test_survivors_far_from_the_query_are_found() -> None:
    far = VECTORS @ QUERIES[0] < 0  # all of them lie on the other side
    table = pl.DataFrame({"far": far})
    index, exact = (one.build(IDS, VECTORS, table) for one in (AnnIndex, ExactIndex))
    for _ in range(3):
        assert recall(index, exact, where="far") >= 0.95
        assert (index.search(QUERIES[:1], 10, where="far").places >= 0).all()


def test_a_rare_condition_is_searched_exactly(index: AnnIndex, exact: ExactIndex) -> None:
    where = "item_id in ['i7', 'i9', 'i11']"
    hits = index.search(QUERIES, 10, where=where)
    assert sorted(hits.ids(0)) == ["i11", "i7", "i9"]
    assert hits.ids(3).to_list() == exact.search(QUERIES, 10, where=where).ids(3).to_list()


def test_more_than_there_is(index: AnnIndex) -> None:
    hits = index.search(QUERIES[:1], N + 5)
    assert len(hits.ids(0)) == N


def test_a_query_of_zeros_has_a_result(index: AnnIndex) -> None:
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
    # Its blocks are rebuilt without the removed ones.
    assert len(set(loaded.search(QUERIES[:1], 50).ids(0)) & set(found)) >= 45
    loaded.remove(["new"])  # a mapped graph becomes one that can be changed
    loaded.add(["newer"], QUERIES[:1], ATTRIBUTES[:1])
    again = loaded.search(QUERIES[:1], 50).ids(0).to_list()
    assert "newer" in again
    assert "new" not in again
    loaded.save(tmp_path / "b")
    assert open_index(tmp_path / "b").search(QUERIES[:1], 50).ids(0).to_list() == again


@pytest.mark.parametrize(
    "name",
    [
        "block_centres.npy",
        "block_scales.npy",
        "block_codes.npy",
        "block_places.npy",
        "loose.npy",
        "vectors.npy",
        "index.json",
    ],
)
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


def gaussian(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return random.normal(size=(count, 64)), random.normal(size=(100, 64))


def lognormal(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x, queries = gaussian(count, random)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x * random.lognormal(0, 0.5, (count, 1)), queries


def als_factors(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Factors of implicit feedback by alternating least squares, popular items longest."""
    users, items = random.gamma(0.3, 1, (300, 20)), random.gamma(0.3, 1, (count, 20))
    rate = 0.3 * users @ (items * np.exp(random.normal(0, 1, (count, 1)))).T
    seen = (random.poisson(rate) > 0).astype(float)
    x, y = random.normal(0, 0.1, (300, 64)), random.normal(0, 0.1, (count, 64))
    for _ in range(3):
        x = np.linalg.solve(y.T @ y + 0.1 * np.eye(64), y.T @ seen.T).T
        y = np.linalg.solve(x.T @ x + 0.1 * np.eye(64), x.T @ seen).T
    return y, x[:100]


def towers(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of two unnormalised layers over clustered features, with popularity in the length."""
    weight = random.normal(size=(2, 24, 64)) / 5
    centres = random.normal(size=(50, 24))
    features = centres[random.integers(0, 50, count)] + 0.5 * random.normal(size=(count, 24))
    points = centres[random.integers(0, 50, 100)] + 0.5 * random.normal(size=(100, 24))
    x = np.maximum(features, 0) @ weight[0] * random.lognormal(0, 0.3, (count, 1))
    return x, np.maximum(points, 0) @ weight[0] + 0.3 * np.maximum(-points, 0) @ weight[1]


KINDS = {"gaussian": gaussian, "lognormal": lognormal, "als": als_factors, "towers": towers}


def of_ten(index: ExactIndex, exact: ExactIndex, queries: np.ndarray, **options: str) -> float:
    found, truth = (one.search(queries, 10, **options) for one in (index, exact))
    pairs = [(set(found.ids(q)), set(truth.ids(q))) for q in range(len(queries))]
    return float(np.mean([len(one & other) / len(other) for one, other in pairs]))


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("kind", KINDS)
def test_recall_holds_on_any_vectors_through_changes(kind: str, storage: Storage) -> None:
    x, queries = KINDS[kind](6_000, np.random.default_rng(3))
    x, queries = x.astype(np.float32), queries.astype(np.float32)
    table = pl.DataFrame({"u": np.random.default_rng(4).random(len(x))})
    index = AnnIndex.build(np.arange(4_000), x[:4_000], table[:4_000], storage=storage)
    exact = ExactIndex.build(np.arange(4_000), x[:4_000], table[:4_000])
    assert of_ten(index, exact, queries) >= 0.95
    assert of_ten(index, exact, queries, where="u < 0.3") >= 0.95
    for one in (index, exact):
        one.add(np.arange(4_000, 6_000), 2 * x[4_000:], table[4_000:])  # longer ones
        one.add(np.arange(500), x[1_000:1_500] * 1.5, table[:500])  # updates
        one.add([7_000], x[:1], table[:1])  # is in no block
        one.remove(np.arange(1_000, 3_000, 2))
    assert of_ten(index, exact, queries) >= 0.95
    assert of_ten(index, exact, queries, where="u < 0.3") >= 0.95
    assert of_ten(index, exact, queries, where="u < 0.01") >= 0.95


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 2**31)), max_size=6))
def test_any_changes_leave_what_the_exact_index_has(steps: list[tuple[str, int]]) -> None:
    table = pl.DataFrame({"u": np.arange(600) % 10})
    ids = np.arange(600)
    index, exact = (one.build(ids, VECTORS[:600], table) for one in (AnnIndex, ExactIndex))
    for action, seed in steps:
        random = np.random.default_rng(seed)
        ids = random.choice(900, random.integers(1, 250), replace=False)
        if action == "remove":
            there = exact.catalogue.places_of(ids) >= 0
            ids = ids[there][: len(exact.catalogue) - 50]
        for one in (index, exact):
            if action == "remove":
                one.remove(ids)
            else:
                one.add(ids, VECTORS[ids] * (1 + seed % 3), pl.DataFrame({"u": ids % 10}))
        for where in (None, "u < 5", "u == 3"):
            assert recall(index, exact, where=where) >= 0.95
            hits, active_mask = index.search(QUERIES, 10, where=where), exact.catalogue.active_mask
            assert active_mask[hits.places[hits.places >= 0]].all()


def test_without_integer_products_the_results_are_the_same(
    index: AnnIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = index.search(QUERIES, 10)
    monkeypatch.setattr(blocks, "_HAS_INTEGERS", False)
    after = index.search(QUERIES, 10)
    assert before.frame().equals(after.frame())
