import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from crosstower.errors import DataError
from crosstower.evaluation.metrics.ranked_lists import catalogue_metrics, list_metrics

ITEMS, K = 12, 6


def pairs(relevant: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    query = [q for q, items in enumerate(relevant) for _ in items]
    item = [i for items in relevant for i in items]
    return np.array(query, dtype=np.int64), np.array(item, dtype=np.int64)


def oracle(shown: list[int], relevant: set[int], k: int) -> dict[str, float]:
    """Each metric by its definition, one list at a time."""
    first = shown[:k]
    ranks = [r for r, item in enumerate(first, 1) if item in relevant]
    best = sum(1 / math.log2(r + 1) for r in range(1, min(k, len(relevant)) + 1))
    return {
        "recall": len(ranks) / len(relevant),
        "hit_rate": float(bool(ranks)),
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks) / best,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "map": sum((n + 1) / r for n, r in enumerate(ranks)) / min(k, len(relevant)),
    }


Lists = st.lists(
    st.tuples(st.permutations(range(ITEMS)), st.sets(st.integers(0, ITEMS - 1), min_size=1)),
    min_size=1,
    max_size=5,
)


@given(Lists, st.integers(1, K))
def test_metrics_follow_their_definitions(rows: list, k: int) -> None:
    shown = np.array([order[:K] for order, _ in rows])
    found = list_metrics(shown, pairs([r for _, r in rows]), [k])
    for q, (order, relevant) in enumerate(rows):
        for name, value in oracle(list(order[:K]), relevant, k).items():
            assert found[f"{name}@{k}"][q] == pytest.approx(value), name


@given(st.permutations(range(ITEMS)), st.sets(st.integers(0, ITEMS - 1), min_size=1))
def test_ndcg_is_that_of_scikit_learn(order: list[int], relevant: set[int]) -> None:
    truth = np.array([[float(i in relevant) for i in range(ITEMS)]])
    score = np.zeros((1, ITEMS))
    score[0, order] = np.arange(ITEMS, 0, -1)
    found = list_metrics(np.array([order]), pairs([relevant]), [5])["ndcg@5"][0]
    assert found == pytest.approx(ndcg_score(truth, score, k=5))


def test_a_query_without_relevant_items_is_left_out() -> None:
    found = list_metrics(np.array([[0, 1], [0, 1]]), pairs([{1}, set()]), [2])
    for values in found.values():
        assert np.isfinite(values[0])
        assert np.isnan(values[1])


def test_places_of_short_lists_hit_nothing() -> None:
    found = list_metrics(np.array([[2, -1, -1]]), pairs([{2, 11}]), [3])
    assert found["recall@3"][0] == 0.5
    assert found["mrr@3"][0] == 1.0


def test_a_perfect_list_has_ones() -> None:
    found = list_metrics(np.array([[4, 2, 9]]), pairs([{2, 4, 9}]), [1, 3])
    assert found["ndcg@1"][0] == found["ndcg@3"][0] == found["map@3"][0] == 1.0
    assert found["recall@1"][0] == pytest.approx(1 / 3)


def test_what_is_shown_of_the_catalogue() -> None:
    counts = np.array([8, 4, 2, 2, 0])
    found = catalogue_metrics(np.array([[0, 1], [0, 4], [0, -1]]), counts, [1, 2])
    assert found["coverage@1"] == 0.2
    assert found["coverage@2"] == pytest.approx(0.6)
    assert found["popularity@1"] == 8
    assert found["popularity@2"] == pytest.approx((8 + 4 + 8 + 0 + 8) / 5)
    assert found["novelty@2"] == pytest.approx((1 + 2 + 1 + 4 + 1) / 5)


def test_nothing_shown_has_no_novelty() -> None:
    found = catalogue_metrics(np.full((2, 1), -1), np.array([1, 1]), [1])
    assert found["coverage@1"] == 0
    assert np.isnan(found["novelty@1"])


def test_bad_input_is_refused() -> None:
    shown = np.array([[0, 1]])
    for k in (0, 3):
        with pytest.raises(DataError, match=f"expected 1 to 2, the length of the lists, got {k}"):
            list_metrics(shown, pairs([{1}]), [k])
    with pytest.raises(DataError, match="pair appears twice"):
        list_metrics(shown, (np.array([0, 0]), np.array([1, 1])), [1])


@given(
    st.lists(st.lists(st.integers(-1, 5), min_size=K, max_size=K), min_size=1, max_size=4),
    st.sets(st.integers(0, 5), min_size=1),
    st.integers(1, K),
)
def test_repeated_items_count_once(lists: list, relevant: set[int], k: int) -> None:
    found = list_metrics(np.array(lists), pairs([relevant] * len(lists)), [k])
    for q, shown in enumerate(lists):
        first = [item if item not in shown[:place] else -1 for place, item in enumerate(shown)]
        for name, value in oracle(first, relevant, k).items():
            assert found[f"{name}@{k}"][q] == pytest.approx(value), name
            assert 0.0 <= found[f"{name}@{k}"][q] <= 1.0


def test_an_item_shown_twice_is_found_once() -> None:
    found = list_metrics(np.array([[3, 3, 1]]), pairs([{3}]), [3])
    assert {name: values[0] for name, values in found.items()} == dict.fromkeys(found, 1.0)
