from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.errors import BundleError, QueryError, ServeError
from crosstower.evaluation.experiments.experiment_file import Experiments
from crosstower.funnel.online.online_funnel import OnlineFunnel
from crosstower.funnel.online.request import FunnelRequest, Ranked
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.smoke import check_requests

ROWS = pl.DataFrame({"user_id": [3, 7]})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    users: list[object] = []
    original = OnlineFunnel.recommend

    def recording(self: OnlineFunnel, request: FunnelRequest) -> Ranked:
        users.append(request.user)
        return original(self, request)

    monkeypatch.setattr(OnlineFunnel, "recommend", recording)
    return users


def test_known_new_and_unknown_users_are_asked_for(bundle: Bundle, asked: list[object]) -> None:
    check_requests(bundle.folder, ROWS, user="user_id")
    first = bundle.retriever().users.to_series().first()
    assert asked[-4:] == [None, first, 7, -1]


def test_a_request_that_fails_is_named(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: OnlineFunnel, request: FunnelRequest) -> Ranked:
        if request.user == -1:
            raise QueryError("no such user")
        return original(self, request)

    original = OnlineFunnel.recommend
    monkeypatch.setattr(OnlineFunnel, "recommend", failing)
    with pytest.raises(BundleError, match="a request of an unknown user fails: no such user"):
        check_requests(bundle.folder, ROWS, user="user_id")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Ranked(np.empty(0, np.int64), np.empty(0)), "the list without a user is empty"),
        (Ranked(np.zeros(1, np.int64), np.full(1, np.nan)), "scores that are not finite"),
    ],
)
def test_empty_lists_and_wrong_scores_are_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, found: Ranked, words: str
) -> None:
    monkeypatch.setattr(OnlineFunnel, "recommend", lambda self, request: found)
    with pytest.raises(BundleError, match=words):
        check_requests(bundle.folder, ROWS, user="user_id")


def test_arms_that_the_bundle_cannot_serve_are_refused(bundle: Bundle) -> None:
    arms = {
        "a": {"share": 0.5, "request": {"blend": {"weights": {"no_task": 1}}}},
        "b": {"share": 0.5},
    }
    one = {"name": "test", "start": "2026-01-01T00:00:00Z", "arms": arms}
    file = {"experiments": [one | {"metrics": {"clicks": {"event": "click"}}}]}
    with pytest.raises(ServeError, match="experiment 'test', arm 'a'"):
        check_requests(
            bundle.folder, ROWS, user="user_id", experiments=Experiments.model_validate(file)
        )


def test_a_damaged_bundle_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        check_requests(tmp_path / "none", ROWS, user="user_id")
