"""A funnel made by hand: two queries, four items at most, every list known."""

from itertools import permutations

import numpy as np
import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.evaluation.metrics.ranked_lists import list_metrics
from crosstower.funnel.stages import (
    Step,
    best_order,
    lists_of,
    padded,
    perfect,
    stage_ranks,
    steps_of,
)
from crosstower.recipe.blend import Diversity

CANDIDATES = np.array([[4, 2, 7, 1], [3, 0, -1, -1]])
RELEVANT = np.array([0, 0, 0, 1]), np.array([1, 4, 9, 5])
QUESTION, COLUMN = np.nonzero(CANDIDATES >= 0)
ITEM = CANDIDATES[QUESTION, COLUMN]
SCORED = pl.DataFrame(
    {
        "row": np.arange(6),
        "click__prediction": [0.1, 0.4, 0.3, 0.4, 0.2, 0.8],
        "blend__score": [5.0, 1.0, 4.0, 3.0, 0.0, -1.0],
        "kind": ["a", "b", "a", "b", "a", "a"],
    }
)


def lists(ranks: dict[str, np.ndarray], k: int = 3) -> dict[str, list[list[int]]]:
    return {n: lists_of(r, QUESTION, ITEM, shape=(2, k)).tolist() for n, r in ranks.items()}


def test_every_stage_orders_as_by_hand() -> None:
    caps = Diversity(top=2, by="kind", caps={"a": 1})
    ranks = stage_ranks(SCORED, QUESTION, task="click", diversity=caps)
    assert lists(ranks) == {
        "ranked": [[2, 1, 7], [0, 3, -1]],  # 2 before 1: equal scores keep the retriever's order
        "blended": [[4, 7, 1], [3, 0, -1]],
        "diversified": [[4, 1, 7], [3, 0, -1]],
    }


def test_stages_that_a_run_does_not_have_are_left_out() -> None:
    plain = SCORED.drop("blend__score")
    assert list(stage_ranks(plain, QUESTION, task="click")) == ["ranked"]
    assert list(stage_ranks(SCORED, QUESTION, task="click")) == ["ranked", "blended"]


def test_a_score_that_is_no_number_is_refused() -> None:
    wrong = SCORED.with_columns(pl.lit(float("nan")).alias("click__prediction"))
    with pytest.raises(DataError, match="finite"):
        stage_ranks(wrong, QUESTION, task="click")


def test_losses_and_gains_as_by_hand() -> None:
    """Of the items 1, 4, 9 and 5 two are candidates; each order shows another two of them."""
    ranks = stage_ranks(SCORED, QUESTION, task="click")
    shown = {n: lists_of(r, QUESTION, ITEM, shape=(2, 2)) for n, r in ranks.items()}
    shown["diversified"] = np.array([[4, 1], [3, 0]])
    assert steps_of(CANDIDATES, shown, RELEVANT) == (
        Step("retrieval", lost=2, gained=0, left=2),
        Step("ranking", lost=1, gained=0, left=1),  # shows 2, 1
        Step("blending", lost=1, gained=1, left=1),  # shows 4, 7
        Step("diversity", lost=0, gained=1, left=2),
    )


def test_the_best_order_puts_relevant_candidates_first() -> None:
    assert best_order(CANDIDATES, RELEVANT, 3).tolist() == [[4, 1, 2], [3, 0, -1]]
    assert best_order(CANDIDATES, RELEVANT, 6)[0].tolist() == [4, 1, 2, 7, -1, -1]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_no_order_of_the_candidates_beats_the_best_one(k: int) -> None:
    orders = [np.array([order]) for order in permutations(CANDIDATES[0])]
    relevant = RELEVANT[0][:3], RELEVANT[1][:3]
    values = [list_metrics(order, relevant, [k])[f"ndcg@{k}"][0] for order in orders]
    best = list_metrics(best_order(CANDIDATES[:1], relevant, k), relevant, [k])[f"ndcg@{k}"][0]
    assert best == max(values)


@pytest.mark.parametrize(("k", "recall"), [(2, 2 / 3), (3, 1.0), (5, 1.0)])
def test_the_perfect_list_holds_what_is_relevant(k: int, recall: float) -> None:
    shown = perfect(RELEVANT, queries=2, k=k)
    found = list_metrics(shown, RELEVANT, [k])
    assert found[f"ndcg@{k}"].tolist() == [1.0, 1.0]
    assert found[f"recall@{k}"].tolist() == [recall, 1.0]
    assert shown[1].tolist() == [5] + [-1] * (k - 1)


def test_the_perfect_list_does_not_depend_on_the_order_of_the_pairs() -> None:
    mixed = np.array([3, 0, 2, 1])
    pairs = RELEVANT[0][mixed], RELEVANT[1][mixed]
    assert [sorted(row) for row in perfect(pairs, queries=2, k=3).tolist()] == [
        sorted(row) for row in perfect(RELEVANT, queries=2, k=3).tolist()
    ]


def test_short_lists_end_with_nothing() -> None:
    assert padded(CANDIDATES, 2).tolist() == [[4, 2], [3, 0]]
    assert padded(CANDIDATES, 5)[0].tolist() == [4, 2, 7, 1, -1]
