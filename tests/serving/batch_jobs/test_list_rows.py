"""Rows of lists."""

import numpy as np
import polars as pl

from crosstower.funnel.online.request import Ranked
from crosstower.retrieval.index.catalogue import Catalogue
from crosstower.retrieval.sources.merge import merged
from crosstower.serving.batch_jobs.list_rows import ListRows

ITEMS = Catalogue(["a", "b", "c", "d"])


def ranked(places: list[int], **more: object) -> Ranked:
    count = len(places)
    return Ranked(
        places=np.array(places, dtype=np.int64),
        score=np.linspace(1, 0.5, count),
        retrieval_rank=np.arange(count),
        retrieval_score=np.linspace(3, 2, count),
        **more,  # type: ignore[arg-type]
    )


def test_a_row_per_place_up_to_k() -> None:
    keys = pl.Series("user_id", [7, 8, 9])
    frame = ListRows(ITEMS, 2).frame(keys, [ranked([3, 1, 0]), ranked([]), ranked([2])])
    assert frame.to_dicts() == [
        {"user_id": 7, "position": 1, "item_id": "d", "score": 1.0},
        {"user_id": 7, "position": 2, "item_id": "b", "score": 0.75},
        {"user_id": 9, "position": 1, "item_id": "c", "score": 1.0},
    ]


def test_stages_have_their_ranks_and_scores() -> None:
    keys = pl.Series("row", [0, 1])
    rows = ListRows(ITEMS, 3, stages=True, tasks=("click",), blended=True)
    one = ranked([0, 2], predictions={"click": np.array([0.3, 0.2])}, blend_score=np.array([5, 4]))
    frame = rows.frame(keys, [one, ranked([])])
    assert frame.drop("score", "position", "item_id").to_dicts() == [
        {
            "row": 0,
            "retrieval_rank": None,  # rules have added it
            "retrieval_score": 3.0,
            "click__prediction": 0.3,
            "blend__score": 5.0,
        },
        {
            "row": 0,
            "retrieval_rank": 1,
            "retrieval_score": 2.0,
            "click__prediction": 0.2,
            "blend__score": 4.0,
        },
    ]


def test_parts_have_the_same_types_with_and_without_lists() -> None:
    rows = ListRows(ITEMS, 3, stages=True, tasks=("click",), blended=True)
    keys = pl.Series("user_id", ["x"])
    full = ranked([1], predictions={"click": np.array([0.5])}, blend_score=np.array([1.0]))
    assert rows.frame(keys, [full]).schema == rows.frame(keys, [ranked([])]).schema
    assert rows.frame(keys[:0], []).schema == rows.frame(keys, [full]).schema


def test_sources_of_each_item_are_a_column_of_stages() -> None:
    names = ("two_tower", "popular")
    found = merged(
        names, [(np.array([2, 0]), np.ones(2)), (np.array([0]), np.array([9.0]))], size=3
    )
    one = ranked(found.places.tolist(), sources=found.sources)
    rows = ListRows(ITEMS, 3, stages=True, sources=names)
    frame = rows.frame(pl.Series("user_id", [1, 2, 3]), [one, ranked([3]), ranked([])])
    assert frame["sources"].to_list() == [
        [
            {"source": "two_tower", "rank": 2, "score": 1.0},
            {"source": "popular", "rank": 1, "score": 9.0},
        ],
        [{"source": "two_tower", "rank": 1, "score": 1.0}],
        [],  # a popular item that stands in
    ]
    empty = rows.frame(pl.Series("user_id", [], dtype=pl.Int64), [])
    assert empty.schema == frame.schema
