"""The transition graph, by loops over the histories."""

import numpy as np
import pytest

from crosstower.errors import RecipeError
from crosstower.retrieval.baselines.top_items import recommend
from crosstower.retrieval.baselines.transitions import TransitionGraph
from crosstower.retrieval.data.histories import Histories

ITEMS = 12
RANDOM = np.random.default_rng(3)
LISTS = [RANDOM.integers(0, ITEMS, length).tolist() for length in (0, 1, 2, 7, 9, 5)]


def histories(lists: list[list[int]]) -> Histories:
    ends = np.cumsum([0, *map(len, lists)])
    return Histories(np.array([i for items in lists for i in items], dtype=np.int64), ends)


def by_hand(window: int, decay: float) -> np.ndarray:
    weights = np.zeros((ITEMS, ITEMS))
    for items in LISTS:
        for place, item in enumerate(items):
            for step in range(1, window + 1):
                if place + step < len(items):
                    weights[item, items[place + step]] += decay ** (step - 1)
    sums = weights.sum(1, keepdims=True)
    return np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)


@pytest.mark.parametrize(("window", "decay"), [(1, 1.0), (3, 0.7), (50, 0.5)])
def test_weights_are_shares_of_decayed_steps(window: int, decay: float) -> None:
    graph = TransitionGraph.fit(histories(LISTS), items=ITEMS, window=window, decay=decay)
    expected = by_hand(window, decay)
    np.testing.assert_allclose(graph.weights.toarray(), expected, rtol=1e-6)


def test_scores_weigh_newer_items_more() -> None:
    graph = TransitionGraph.fit(histories(LISTS), items=ITEMS, recency=0.4)
    queries = [[3, 5, 5, 1], [], [7]]
    pairs = [(row, item) for row, items in enumerate(queries) for item in items]
    rows, items = (np.array(part) for part in zip(*pairs, strict=True))
    weights = by_hand(3, 0.7)
    expected = [
        sum((0.4**age * weights[item] for age, item in enumerate(reversed(q))), np.zeros(ITEMS))
        for q in queries
    ]
    found = graph.scores(graph.histories_of(rows, items, shape=(3, ITEMS)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_item_after_the_last_one_is_first() -> None:
    graph = TransitionGraph.fit(histories([[0, 1, 2], [0, 1, 2], [3, 1, 0]]), items=4)
    newest = graph.histories_of(np.array([0, 0]), np.array([0, 1]), shape=(1, 4))
    assert recommend(graph, newest, k=1).tolist() == [[2]]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"window": 0}, "window of at least 1, got 0"),
        ({"decay": 0.0}, "decay above 0 and at most 1, got 0"),
        ({"recency": 1.5}, "recency above 0 and at most 1, got 1.5"),
    ],
)
def test_wrong_options_are_refused(option: dict[str, float], words: str) -> None:
    with pytest.raises(RecipeError, match=f"transition_graph: expected {words}"):
        TransitionGraph.fit(histories(LISTS), items=ITEMS, **option)  # type: ignore[arg-type]
