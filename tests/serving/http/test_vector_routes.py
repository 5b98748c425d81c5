"""Vectors of items over HTTP, against exact search over the replaced matrix."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.vectors.export import export_vectors
from crosstower.serving.vectors.vector_file import read_vectors
from crosstower.training.run import Run

from ...fixtures.live_films import LiveFilms
from ...fixtures.live_films import rows as live_rows
from ..conftest import TOKENS, Start
from .client import ids, problem, service_of

Floats = NDArray[np.float32]


def weights_of(bundle: Bundle) -> str:
    assert bundle.manifest.retrieval is not None
    return bundle.manifest.retrieval.weights


def body(bundle: Bundle, vectors: dict[Any, Floats]) -> dict[str, Any]:
    rows = [{"id": item, "vector": vector.tolist()} for item, vector in vectors.items()]
    return {"weights": weights_of(bundle), "vectors": rows}


def unit(count: int, seed: int = 0) -> Floats:
    found = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def recommended(client: TestClient, **more: Any) -> list[tuple[Any, float]]:
    response = client.post("/v1/recommend", json={"query": {"country": "FR"}, **more})
    assert response.status_code == 200, response.text
    return [(item["item_id"], item["score"]) for item in response.json()["items"]]


def exact(
    ids: list[Any], matrix: Floats, query: Floats, k: int, left_out: Iterable[Any] = ()
) -> list[Any]:
    scores = matrix.astype(np.float64) @ query.astype(np.float64)
    return [ids[n] for n in np.argsort(-scores, kind="stable") if ids[n] not in set(left_out)][:k]


class Matrix:
    """The items of a bundle as the oracle has them: ids and vectors to replace."""

    def __init__(self, bundle: Bundle) -> None:
        self.retriever = Retriever.open(bundle.folder / "retrieval")
        self.ids = self.retriever.catalogue.ids.to_list()
        self.vectors = self.retriever.vectors.copy()

    def replace(self, vectors: dict[Any, Floats]) -> None:
        for item, vector in vectors.items():
            self.vectors[self.ids.index(item)] = vector


def test_every_search_sees_the_replaced_matrix(start: Start, live_films: LiveFilms) -> None:
    bundle, oracle = live_films.only, Matrix(live_films.only)
    one, two = start(bundle.folder), start(bundle.folder)
    changed = dict(zip(oracle.ids[3:18], unit(15), strict=True))
    before = recommended(one, history=["f01"], k=10)
    response = one.put("/v1/vectors", json=body(bundle, changed))
    assert response.json() == {"sequence": 15, "vectors": 15, "unknown": 0}
    oracle.replace(changed)
    query = oracle.retriever.query(None, {}, history=["f01", "f05"])[0][0]
    service_of(two).state.compact()  # as a restart does
    for client in (one, two, start(bundle.folder)):
        found = recommended(client, history=["f01", "f05"], query={}, k=10)
        wanted = exact(oracle.ids, oracle.vectors, query, 10, {"f01", "f05"})
        assert [item for item, _ in found] == wanted
        places = [oracle.ids.index(item) for item in wanted]
        assert [score for _, score in found] == pytest.approx(oracle.vectors[places] @ query)
        for item in ("f04", "f25"):  # changed, and not
            mine = oracle.vectors[oracle.ids.index(item)]
            near = ids(client.post("/v1/similar", json={"item": item, "k": 9}))
            assert near == exact(oracle.ids, oracle.vectors, mine, 9, {item})
    assert recommended(one, history=["f01"], k=10) != before


def test_a_text_search_sees_them(start: Start, search_run: Run, tmp_path: Any) -> None:
    bundle = make_bundle([search_run], tmp_path / "search")
    client, oracle = start(bundle.folder), Matrix(bundle)
    text = "something of war"
    query = oracle.retriever.query(None, oracle.retriever.text_query(text))[0][0]
    best = exact(oracle.ids, oracle.vectors, query, 5)
    assert ids(client.post("/v1/search", json={"text": text, "k": 5})) == best
    changed = {best[0]: -oracle.vectors[oracle.ids.index(best[0])], oracle.ids[-1]: query}
    assert client.put("/v1/vectors", json=body(bundle, changed)).status_code == 200
    oracle.replace(changed)
    now = ids(client.post("/v1/search", json={"text": text, "k": 5}))
    assert now == exact(oracle.ids, oracle.vectors, query, 5)
    assert now[0] == oracle.ids[-1]
    assert best[0] not in now


def test_an_item_keeps_all_but_its_vector(start: Start, live_films: LiveFilms) -> None:
    client = start(live_films.bundle.folder)
    request = {"query": {"device": "tv"}, "history": ["f01"], "items": ["f03", "f07", "f20"]}
    before = client.post("/v1/rank", json=request).json()["items"]
    changed = dict(zip(["f07", "f20"], unit(2), strict=True))
    assert client.put("/v1/vectors", json=body(live_films.bundle, changed)).status_code == 200
    after = client.post("/v1/rank", json=request).json()["items"]
    for old, new in zip(before, after, strict=True):
        assert (old["item_id"], old["attributes"]) == (new["item_id"], new["attributes"])
        assert new["predictions"] == pytest.approx(old["predictions"])
    shown = client.get("/v1/model").json()
    assert (shown["items"], shown["newer_items"]) == (30, 2)
    assert shown["weights"] == weights_of(live_films.bundle)
    assert "crosstower_vectors_written_total 2.0" in client.get("/metrics").text


def test_the_last_change_of_an_item_counts(start: Start, live_films: LiveFilms) -> None:
    """A put or a deletion after a vector, and a vector after a put."""
    bundle, vector = live_films.only, unit(3)
    client = start(bundle.folder)

    def vector_of(client: TestClient, item: str) -> Floats | None:
        live = service_of(client).live
        assert live is not None
        items = live.needs_funnel.catalogue.items
        place = items.places_of([item])
        return items.vectors(place)[0] if place[0] >= 0 else None

    changed = dict(zip(["f01", "f02", "f03"], vector, strict=True))
    client.put("/v1/items", json={"items": [{"film": "f03", "genre": 1}]})
    client.put("/v1/vectors", json=body(bundle, changed))
    client.put("/v1/items", json={"items": [{"film": "f01", "genre": 2}]})
    client.delete("/v1/items", params={"id": "f02"})
    own = Matrix(bundle).retriever
    put = own.vectors_of(own.items.filter(film="f01").with_columns(genre=2), "f01")[0]
    service_of(client).state.compact()
    for one in (client, start(bundle.folder)):
        recommended(one)  # catches up
        np.testing.assert_allclose(vector_of(one, "f01"), put, rtol=1e-5)
        assert vector_of(one, "f02") is None
        np.testing.assert_array_equal(vector_of(one, "f03"), vector[2])
    again = body(bundle, {"f02": vector[0], "f01": vector[0]})
    again["vectors"].append({"id": "f01", "vector": vector[1].tolist()})
    late = client.put("/v1/vectors", json=again)
    assert (late.json()["vectors"], late.json()["unknown"]) == (1, 1)
    np.testing.assert_array_equal(vector_of(client, "f01"), vector[1])
    assert vector_of(client, "f02") is None


def test_another_bundle_supersedes_them(start: Start, live_films: LiveFilms) -> None:
    client = start(live_films.only.folder)
    plain = recommended(client, history=["f01"])
    changed = dict(zip(["f04", "f07", "f10"], unit(3), strict=True))
    refused = client.put("/v1/vectors", json=body(live_films.bundle, changed))
    assert "vectors of two models cannot be compared" in problem(refused, 409)["detail"]
    assert client.put("/v1/vectors", json=body(live_films.only, changed)).status_code == 200
    mine = recommended(client, history=["f01"])
    assert mine != plain
    alone = recommended(start(live_films.bundle.folder, state="alone"), history=["f01"])
    for folder, wanted in ((live_films.bundle.folder, alone), (live_films.only.folder, mine)):
        assert client.post("/v1/model", json={"path": str(folder)}).status_code == 200
        assert recommended(client, history=["f01"]) == wanted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vectors": [{"id": "f01", "vector": [1.0] * 7}]}, "expected 8 numbers, got 7"),
        ({"vectors": [{"id": "f01", "vector": [1.0] * 7 + [-2e15]}]}, "from -1e+15 to 1e+15"),
        ({"vectors": [{"id": "f01", "vector": [1.0] * 7 + [1e39]}]}, "from -1e+15 to 1e+15"),
        ({"vectors": [{"id": "f01", "vector": ["x"] * 8}]}, "valid number"),
        ({"vectors": [{"id": True, "vector": [1.0] * 8}]}, "body.vectors.0.id"),
        ({"vectors": [{"id": "f01", "vector": []}]}, "at least 1"),
        ({"vectors": []}, "at least 1"),
        ({"weights": ""}, "at least 1"),
        ({"vectors": [{"id": "f01", "vector": [1.0] * 8}] * 4}, "allows at most 3 at a time"),
    ],
)
def test_wrong_vectors_are_refused_whole(
    start: Start, live_films: LiveFilms, change: dict[str, Any], words: str
) -> None:
    client = start(live_films.only.folder, items=3)
    given = body(live_films.only, {"f01": unit(1)[0]}) | change
    assert words in problem(client.put("/v1/vectors", json=given), 422)["detail"]
    assert service_of(client).state.last_sequence() == 0


def test_scores_of_the_largest_vectors_are_numbers(start: Start, live_films: LiveFilms) -> None:
    client = start(live_films.only.folder)
    large = 1e15 * np.sign(unit(2)).astype(np.float32)
    given = body(live_films.only, {"f01": large[0], "f02": large[1]})
    assert client.put("/v1/vectors", json=given).status_code == 200
    scores = dict(recommended(client, history=["f05"], k=30))
    assert all(np.isfinite(score) for score in scores.values())
    assert abs(scores["f01"]) > 1e12
    response = client.post("/v1/similar", json={"item": "f01", "k": 29}).json()
    found = {item["item_id"]: item["score"] for item in response["items"]}
    assert found["f02"] == pytest.approx(np.sign(large).prod(axis=0).mean(), abs=1e-6)


def test_a_token_for_writing_is_needed(
    start: Start, live_films: LiveFilms, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start(live_films.only.folder)
    service_of(client).tokens = {name: (token,) for name, token in TOKENS.items()}  # type: ignore[assignment, misc]
    given = body(live_films.only, {"f01": unit(1)[0]})
    for name, status in (("read", 403), ("write", 200)):
        headers = {"Authorization": f"Bearer {TOKENS[name]}"}
        assert client.put("/v1/vectors", json=given, headers=headers).status_code == status


def test_vectors_of_a_frozen_query_tower_serve_as_a_new_bundle(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    """The same lists as a new bundle of the run, which has three items more."""
    before = Run.open(live_films.retrieval.folder.parent / "only")
    new = [{"film": f"f{i}", "genre": i % 3} for i in range(30, 33)]
    films = pl.read_parquet(live_films.retrieval.folder.parent / "films.parquet")
    pl.concat([films, pl.DataFrame(new)]).write_parquet(tmp_path / "films.parquet")
    rows = live_rows(600, seed=1).with_columns(pl.col("film").replace({"f01": "f31"}))
    rows.write_parquet(tmp_path / "rows.parquet")
    plain = yaml.safe_load(before.recipe.to_yaml())
    plain["data"]["path"] = str(tmp_path / "rows.parquet")
    plain["retrieval"]["items"] = str(tmp_path / "films.parquet")
    plain["training"]["freeze"] = "query_tower"
    recipe = Recipe.model_validate(plain)
    after = fit(recipe, out=tmp_path / "after", warm_start=before, quiet=True)

    client = start(live_films.only.folder)
    assert client.put("/v1/items", json={"items": new}).status_code == 200
    stale = recommended(client, history=["f04"], k=20)
    found = export_vectors(after, live_films.only, tmp_path / "vectors.parquet")
    assert (found.changed, found.unchanged, found.new) == (30, 0, 3)
    vectors = read_vectors(tmp_path / "vectors.parquet")
    changed = dict(zip(vectors.ids, vectors.vectors, strict=True))
    response = client.put("/v1/vectors", json=body(live_films.only, changed))
    assert (response.json()["vectors"], response.json()["unknown"]) == (33, 0)

    other = start(make_bundle(after, tmp_path / "bundle").folder, state="other")
    for history in (["f04"], ["f07", "f08", "f31"], ["f30"]):
        lists = [recommended(one, history=history, k=20) for one in (client, other)]
        assert [item for item, _ in lists[0]] == [item for item, _ in lists[1]]
        assert [score for _, score in lists[0]] == pytest.approx([score for _, score in lists[1]])
    assert recommended(client, history=["f04"], k=20) != stale
