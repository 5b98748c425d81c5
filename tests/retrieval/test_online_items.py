from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval.index import ann
from crosstower.retrieval.index.ann import AnnIndex
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems

N, D = 300, 8
RANDOM = np.random.default_rng(0)


def unit(count: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(count, D)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def attributes(count: int) -> pl.DataFrame:
    return pl.DataFrame({"kind": [["a", "b", "c"][i % 3] for i in range(count)]})


@pytest.fixture(params=["exact", "ann", "long"])
def live(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OnlineItems:
    monkeypatch.setattr(ann, "_LOOSE", 100)  # scans blocks even here
    monkeypatch.setattr(ann, "GATHERED", 0)
    maker = AnnIndex if request.param == "ann" else ExactIndex
    x = unit(N, 0) * (np.linspace(1, 3, N)[:, None] if request.param == "long" else 1)
    return items_of(maker.build([f"i{i}" for i in range(N)], x, attributes(N)))


def items_of(index: ExactIndex) -> OnlineItems:
    return OnlineItems(index.catalogue, index, lambda: vectors_of(index))


def vectors_of(index: Any) -> np.ndarray:
    return index.vectors.rows(slice(0, None)).numpy()


class Plain:
    """The same as dictionaries."""

    def __init__(self, live: OnlineItems) -> None:
        x = vectors_of(live.index)
        self.vectors = {f"i{i}": row for i, row in enumerate(x)}
        self.kinds = dict(zip(self.vectors, attributes(N)["kind"], strict=True))

    def put(self, ids: list[str], x: np.ndarray, kinds: list[str]) -> None:
        self.vectors |= dict(zip(ids, x, strict=True))
        self.kinds |= dict(zip(ids, kinds, strict=True))

    def delete(self, ids: list[str]) -> None:
        for one in ids:
            self.vectors.pop(one, None)

    def best(self, x: np.ndarray, k: int, kind: str | None, out: list[str]) -> list[str]:
        left = [i for i in self.vectors if i not in out and kind in (None, self.kinds[i])]
        return sorted(left, key=lambda i: -float(self.vectors[i] @ x[0]))[:k]


def check(live: OnlineItems, plain: Plain, seed: int) -> None:
    x = unit(1, 100 + seed)
    out = [*list(plain.vectors)[:5], "nobody"]
    for kind in (None, "b"):
        where = None if kind is None else f"kind == '{kind}'"
        places, scores = live.nearest(x, 20, where=where, excluded=live.places_of(out))
        expected = plain.best(x, 20, kind, out)
        found = live.ids(places)
        if isinstance(live.index, AnnIndex):
            assert len(set(found) & set(expected)) >= 18  # an approximate index
        else:
            assert found == expected
        np.testing.assert_allclose(
            scores, [plain.vectors[i] @ x[0] for i in found], rtol=1e-4, atol=1e-5
        )
        assert [row["kind"] for row in live.attributes(places)] == [plain.kinds[i] for i in found]
        assert live.fits(places, where).all()
    assert len(live) == len(plain.vectors)


def test_changes_one_after_the_other_leave_what_dictionaries_would(live: OnlineItems) -> None:
    plain, random = Plain(live), np.random.default_rng(1)
    check(live, plain, 0)
    for step in range(1, 25):
        ids = [f"i{i}" for i in random.choice(N + 40, 6, replace=False)]
        if random.random() < 0.4:
            live.delete(live.as_ids(ids))
            plain.delete(ids)
        else:
            x, kinds = unit(6, step), [["a", "b", "c"][i] for i in random.integers(0, 3, 6)]
            live.put(live.as_ids(ids), pl.DataFrame({"kind": kinds}), x)
            plain.put(ids, x, kinds)
        check(live, plain, step)
    everything = live.places_of(list(plain.vectors))
    assert (everything >= 0).all()
    assert live.ids(everything) == list(plain.vectors)


def test_the_most_alike_are_those_of_the_largest_cosine(live: OnlineItems) -> None:
    plain = Plain(live)
    live.put(live.as_ids(["new", "i3"]), attributes(2), unit(2, 9) * 5)
    plain.put(["new", "i3"], unit(2, 9) * 5, ["a", "b"])
    for one in ("i7", "new"):
        mine = plain.vectors[one]
        cosine = {
            i: float(x @ mine / np.linalg.norm(x) / np.linalg.norm(mine))
            for i, x in plain.vectors.items()
            if i != one
        }
        expected = sorted(cosine, key=lambda i: -cosine[i])[:5]
        places, _ = live.similar(int(live.places_of([one])[0]), 5)
        # Base vectors of one length are searched as they are, so newer ones have to be as well.
        lengths = np.linalg.norm(vectors_of(live.index)[:2], axis=1)
        if abs(lengths[0] - lengths[1]) > 1e-3:
            assert live.ids(places) == expected


def test_ids_of_another_kind_are_nobody(live: OnlineItems) -> None:
    numbers = items_of(ExactIndex.build([1, 2], unit(2, 0), attributes(2)))
    assert numbers.places_of(["1", 2, "x", 3]).tolist() == [0, 1, -1, -1]
    assert live.places_of([1, "i1"]).tolist() == [-1, 1]
    with pytest.raises(QueryError, match="no column 'colour'"):
        live.nearest(unit(1, 0), 3, where="colour == 'red'")


def test_more_than_there_is(live: OnlineItems) -> None:
    live.put(live.as_ids(["new"]), attributes(1), unit(1, 3))
    places, scores = live.nearest(unit(1, 0), N + 50)
    assert len(set(live.ids(places))) == N + 1
    assert (np.diff(scores) <= 1e-6).all()
    live.delete(live.as_ids([f"i{i}" for i in range(N)]))
    places, _ = live.nearest(unit(1, 0), 10)
    assert live.ids(places) == ["new"]
    live.delete(live.as_ids(["new"]))
    assert live.nearest(unit(1, 0), 10)[0].tolist() == []


def test_a_huge_k_costs_no_more_than_all_items(
    live: OnlineItems, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, search = list[int](), live.index.nearest  # type: ignore[attr-defined]

    def noted(x: Any, k: int, **more: Any) -> Any:
        sizes.append(k)
        return search(x, k, **more)

    monkeypatch.setattr(live.index, "nearest", noted)
    assert len(live.nearest(unit(1, 0), 10**9)[0]) == N
    assert sizes == [N]


@pytest.mark.parametrize("where", [None, "kind == 'a'"])
def test_items_are_those_of_brute_force(live: OnlineItems, where: str | None) -> None:
    vectors = vectors_of(live.index)
    fits = np.array([where is None or row["kind"] == "a" for row in live.attributes(np.arange(N))])
    for query, out in zip(unit(2, 5), ([7, 8, -1], list(range(290))), strict=True):
        places, scores = live.nearest(query[None], 9, where=where, excluded=np.array(out))
        expected = np.where(fits, vectors @ query, -np.inf)
        expected[[place for place in out if place >= 0]] = -np.inf
        order = [i for i in np.argsort(-expected, kind="stable")[:9] if np.isfinite(expected[i])]
        assert places.tolist() == order
        np.testing.assert_allclose(scores, expected[order], rtol=1e-5)


def test_several_queries_are_searched_as_each_alone(live: OnlineItems) -> None:
    live.put(live.as_ids(["new", "i3"]), attributes(2), unit(2, 9))
    x, out = unit(4, 6), [np.array(o, dtype=np.int64) for o in ([], [7, -1], [N], [1, 2])]
    for where in (None, "kind == 'a'"):
        found = live.nearest_each(x, 12, where=where, excluded=out)
        for query, (places, scores) in enumerate(found):
            alone = live.nearest(x[[query]], 12, where=where, excluded=out[query])
            np.testing.assert_array_equal(places, alone[0])
            np.testing.assert_array_equal(scores, alone[1])
