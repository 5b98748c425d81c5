"""The state of requests on their way through the stages."""

import numpy as np
import pytest

from crosstower.errors import QueryError
from crosstower.funnel.online.request import FunnelRequest, Ranked, RequestState


def test_an_error_is_the_result() -> None:
    state = RequestState(FunnelRequest())
    assert isinstance(state.result(), Ranked)
    state.error = QueryError("wrong")
    assert state.result() is state.error


@pytest.mark.parametrize(
    ("fallback", "words"),
    [
        (None, "treated as a user without a history"),
        ("popular", "popular items instead, scored by their training rows"),
    ],
)
def test_an_unknown_user_is_told_with_what_was_done_instead(
    fallback: str | None, words: str
) -> None:
    state = RequestState(FunnelRequest(user=0))
    state.found = Ranked(np.array([3]), np.array([1.0]), fallback=fallback, notices=("more",))
    result = state.result()
    assert isinstance(result, Ranked)
    assert result.notices[0].startswith("user 0 is unknown")
    assert result.notices[0].endswith(words)
    assert result.notices[1:] == ("more",)
    assert RequestState(FunnelRequest()).result().notices == ()  # type: ignore[union-attr]


def test_an_empty_list_has_no_popular_items() -> None:
    state = RequestState(FunnelRequest(user=0))
    state.found = Ranked(np.empty(0, np.int64), np.empty(0), fallback="popular")
    assert state.result().notices[0].endswith("without a history")  # type: ignore[union-attr]
    predictions = {"click": np.array([0.5])}
    state.found = Ranked(
        np.array([3]), np.array([1.0]), None, None, predictions, fallback="popular"
    )
    assert state.result().notices[0].endswith(": popular items instead")  # type: ignore[union-attr]
