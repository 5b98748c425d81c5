"""The merge of sources, by hand."""

import numpy as np

from crosstower.retrieval.sources.merge import SourceRanks, merged, ranks_at

FOUND = [
    (np.array([4, 9, 2]), np.array([0.9, 0.8, 0.1])),
    (np.array([9, 7]), np.array([33.0, 31.0])),
    (np.empty(0, np.int64), np.empty(0)),
]
NAMES = ("two_tower", "popular", "recent")


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    both = merged(NAMES, FOUND, size=10)
    by_hand = {4: 1 / 61, 9: 1 / 62 + 1 / 61, 2: 1 / 63, 7: 1 / 62}
    assert both.places.tolist() == sorted(by_hand, key=lambda item: -by_hand[item])
    np.testing.assert_allclose(both.scores, [by_hand[item] for item in both.places])


def test_equal_scores_come_in_the_order_of_the_recipe() -> None:
    found = [(np.array([8]), np.array([1.0])), (np.array([3]), np.array([2.0]))]
    assert merged(("a", "b"), found, size=2).places.tolist() == [8, 3]
    assert merged(("b", "a"), found[::-1], size=2).places.tolist() == [3, 8]


def test_each_candidate_carries_its_sources() -> None:
    both = merged(NAMES, FOUND, size=2)
    assert both.places.tolist() == [9, 4]
    assert both.sources.of(0) == {"two_tower": (2, 0.8), "popular": (1, 33.0)}
    assert both.sources.of(1) == {"two_tower": (1, 0.9)}
    assert both.sources.take(np.array([1])).of(0) == both.sources.of(1)


def test_no_source_may_find_anything() -> None:
    nothing = merged(NAMES, [FOUND[2]] * 3, size=5)
    assert len(nothing.places) == 0
    assert nothing.sources.series().to_list() == []


def test_added_candidates_have_no_source() -> None:
    more = merged(NAMES, FOUND, size=2).sources.extended(1)
    assert more.of(2) == {}
    column = SourceRanks.concatenate([SourceRanks.none(NAMES), more]).series()
    assert column.name == "sources"
    assert column.to_list() == [
        [
            {"source": "two_tower", "rank": 2, "score": 0.8},
            {"source": "popular", "rank": 1, "score": 33.0},
        ],
        [{"source": "two_tower", "rank": 1, "score": 0.9}],
        [],
    ]


def test_items_that_were_not_found_have_no_rank() -> None:
    found, ranks = np.array([9, 2, 5]), np.array([[1, 0], [2, 3], [0, 4]])
    at = ranks_at(found, ranks, np.array([5, 7, 2, 2]))
    assert at.tolist() == [[0, 4], [0, 0], [2, 3], [2, 3]]
    assert ranks_at(found[:0], ranks[:0], np.array([5])).tolist() == [[0, 0]]
