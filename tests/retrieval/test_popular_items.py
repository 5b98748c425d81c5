"""Popular items: of all rows, and of a segment."""

import numpy as np
import polars as pl
import pytest

from crosstower.errors import QueryError
from crosstower.retrieval import popular_items as module
from crosstower.retrieval.index.exact import ExactIndex
from crosstower.retrieval.online_items import OnlineItems
from crosstower.retrieval.popular_items import PopularItems, PopularOrder

N = 40
COUNTS = np.random.default_rng(1).integers(0, 30, N)


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> OnlineItems:
    monkeypatch.setattr(module, "_FIRST", 10)
    kinds = pl.DataFrame({"kind": ["ab"[i % 2] for i in range(N)]})
    index = ExactIndex.build(list(range(N)), np.eye(N, 4, dtype=np.float32), kinds)
    return OnlineItems(index.catalogue, index, lambda: np.eye(N, 4, dtype=np.float32))


def segments(seed: int = 0) -> pl.DataFrame:
    """Training rows of two segments, numbers and texts among their ids."""
    random = np.random.default_rng(seed)
    segment = random.choice(["7", "FR"], 120)
    pairs = pl.DataFrame({"segment": segment, "item": random.integers(0, 20, 120)})
    return pairs.group_by("segment", "item").len("rows").sort("segment", "item")


def by_hand(rows: dict[int, int] | None, k: int, left: list[int]) -> tuple[list[int], list[float]]:
    """Sort all items by their rows of the segment, then by all of their rows."""
    order = sorted(left, key=lambda i: (-rows.get(i, 0) if rows else 0, -COUNTS[i], i))
    counts = [float(rows.get(i, 0)) if rows else float(COUNTS[i]) for i in order[:k]]
    return order[:k], counts


@pytest.mark.parametrize("k", [1, 8, 30, 100])
@pytest.mark.parametrize("segment", [None, "FR", 7])
def test_items_are_sorted_by_their_rows(items: OnlineItems, segment: str | None, k: int) -> None:
    table, out = segments(), np.array([3, 11, 39])
    popular = PopularItems(items, PopularOrder(COUNTS, table))
    rows = None
    if segment is not None:
        mine = table.filter(pl.col("segment") == str(segment))
        rows = dict(zip(mine["item"], mine["rows"], strict=True))
    for where, left in ((None, range(N)), ("kind == 'a'", range(0, N, 2))):
        places, counts = popular.best(k, where=where, excluded=out, segment=segment)
        kept = [i for i in left if i not in out]
        expected, theirs = by_hand(rows, k, kept)
        assert counts.tolist() == theirs
        if rows is None:
            assert places.tolist() == expected
        else:  # of equal rows in the segment, any comes first
            assert sorted(places.tolist()) == sorted(expected) or k < len(kept)
            assert [rows.get(i, 0) for i in places.tolist()] == theirs


def test_a_segment_without_rows_gets_the_items_of_all_rows(items: OnlineItems) -> None:
    named = segments().with_columns(segment=pl.col("segment").replace("FR", "None"))
    popular, out = PopularItems(items, PopularOrder(COUNTS, named)), np.empty(0, np.int64)
    expected = [value.tolist() for value in popular.best(9, where=None, excluded=out)]
    assert expected[0] == by_hand(None, 9, list(range(N)))[0]
    found = popular.best(9, where=None, excluded=out, segment="DE")
    assert [value.tolist() for value in found] == expected


def test_changed_items_keep_their_rows_and_deleted_ones_are_left_out(items: OnlineItems) -> None:
    popular = PopularItems(items, PopularOrder(COUNTS, segments()))
    first = popular.best(2, where=None, excluded=np.empty(0, np.int64))[0].tolist()
    items.put(
        pl.Series([first[0]]), pl.DataFrame({"kind": ["b"]}), np.ones((1, 4), dtype=np.float32)
    )
    items.delete(pl.Series([first[1]]))
    places, counts = popular.best(2, where=None, excluded=np.empty(0, np.int64))
    assert items.ids(places)[0] == first[0]
    assert counts[0] == COUNTS[first[0]]
    assert first[1] not in items.ids(places)


def test_only_segments_with_rows_are_known(items: OnlineItems) -> None:
    popular = PopularItems(items, PopularOrder(COUNTS, segments()))
    found = [popular.segment_of("country", value) for value in ("FR", 7, "7", "DE", "", None)]
    assert found == ["FR", 7, 7, None, None, None]
    assert PopularItems(items, PopularOrder(COUNTS)).segment_of("country", "FR") is None
    with pytest.raises(QueryError, match="query: 'country'"):
        popular.segment_of("country", [1])


def test_a_wrong_condition_is_refused(items: OnlineItems) -> None:
    with pytest.raises(QueryError, match="colour"):
        PopularItems(items, PopularOrder(COUNTS)).best(
            3, where="colour == 'red'", excluded=np.empty(0, np.int64)
        )
