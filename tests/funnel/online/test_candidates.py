"""Candidates of several requests at once."""

import numpy as np

from crosstower.funnel.online.candidates import candidates_of, retrieve
from crosstower.funnel.online.request import FunnelRequest, RequestState
from crosstower.serving.bundle.live import Live


def states(live: Live) -> list[RequestState]:
    vectors = live.needs_funnel.retriever.vectors[:5]
    made = [
        RequestState(FunnelRequest(), size=size, where=where, vector=vectors[place : place + 1])
        for place, (size, where) in enumerate(
            [(5, None), (9, None), (5, "price < 100"), (5, "price <"), (5, None)]
        )
    ]
    made[4].excluded = np.array([1, 2, 3])
    return [*made, RequestState(FunnelRequest(), size=4)]


def test_requests_are_found_together_as_alone(live: Live) -> None:
    catalogue, together = live.needs_funnel.catalogue, states(live)
    retrieve(together, catalogue)
    for state, alone in zip(together, states(live), strict=True):
        retrieve([alone], catalogue)
        assert (state.error is None) == (alone.error is None)
        np.testing.assert_array_equal(state.found.places, alone.found.places)
        np.testing.assert_array_equal(state.found.score, alone.found.score)


def test_a_wrong_condition_fails_its_own_request_only(live: Live) -> None:
    many = states(live)
    retrieve(many, live.needs_funnel.catalogue)
    assert [state.error is not None for state in many] == [False, False, False, True, False, False]
    assert [len(state.found.places) for state in many] == [5, 9, 5, 0, 5, 4]
    assert not set(many[4].found.places) & {1, 2, 3}
    assert many[5].found.fallback == "popular"


def test_candidates_keep_the_order_of_retrieval() -> None:
    found = candidates_of(np.array([4, 2]), np.array([0.5, 0.25], np.float32))
    assert found.retrieval_rank is not None
    assert (found.retrieval_rank.tolist(), found.retrieved) == ([1, 2], 2)
    assert found.score.dtype == np.float64
