"""Users of a worker: of the bundle that it serves."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from crosstower.errors import QueryError
from crosstower.serving.bundle import make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.worker_users import WorkerUsers
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State
from crosstower.training.run import Run

from ...fixtures.live_films import UNTIL, LiveFilms

LATER = datetime.fromtimestamp(UNTIL + 1, UTC)


def test_another_bundle_reads_the_same_state(live_films: LiveFilms, tmp_path: Path) -> None:
    both, only = Live.open(live_films.bundle), Live.open(live_films.only)
    with State.open(tmp_path) as state:
        users = WorkerUsers(state, ServerMetrics())
        users.serve(both)
        state.add_events([Event(event_id="a", type="click", user=3, item_id="f01", time=LATER)])
        state.put_users(users.check(both, [{"user": "3", "device": "tv", "country": "FR"}]))
        users.catch_up(state.heads())
        shown = users.show(both, 3)
        assert (shown["attributes"], shown["ignored_attributes"]) == (
            {"device": "tv", "country": "FR"},
            [],
        )
        users.serve(only)  # its query tower has no device
        shown = users.show(only, 3)
        assert shown["attributes"] == {"device": "tv", "country": "FR"}
        assert shown["ignored_attributes"] == ["device"]
        assert shown["history"][-1] == {"item_id": "f01", "type": "click", "time": LATER}
        assert only.needs_funnel.users.of(3, None).columns["country"] == "FR"


def test_of_a_user_given_twice_the_last_row_counts(live_films: LiveFilms, tmp_path: Path) -> None:
    live = Live.open(live_films.bundle)
    with State.open(tmp_path) as state:
        users = WorkerUsers(state, ServerMetrics())
        users.serve(live)
        rows = [{"user": 1, "device": "tv"}, {"user": "1", "country": "FR"}]
        assert users.check(live, rows) == {1: {"country": "FR"}}
        assert users.ids(live, ["7", "u"]) == [7, "u"]


def test_a_bundle_without_users_says_so(search_run: Run, tmp_path: Path) -> None:
    live = Live.open(make_bundle([search_run], tmp_path / "bundle"))
    with State.open(tmp_path / "state") as state:
        users = WorkerUsers(state, ServerMetrics())
        users.serve(live)
        for work in (lambda: users.ids(live, ["1"]), lambda: users.check(live, [{"user": 1}])):
            with pytest.raises(QueryError, match=r"users: this bundle has none; its recipe has no"):
                work()


def test_a_bundle_that_only_ranks_has_no_users(live_films: LiveFilms, tmp_path: Path) -> None:
    live = Live.open(make_bundle([live_films.ranking], tmp_path / "bundle"))
    with State.open(tmp_path / "state") as state:
        users = WorkerUsers(state, ServerMetrics())
        users.serve(live)
        users.keep_up(live)
        with pytest.raises(QueryError, match="only ranks"):
            users.show(live, "1")
