"""Experiments of a server: arms of requests and events, interleaved lists, and their report."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.errors import RecipeError, ServeError
from crosstower.evaluation.experiments.analysis import experiment_report
from crosstower.evaluation.experiments.assignment import Assignment
from crosstower.evaluation.experiments.experiment_file import load_experiments
from crosstower.evaluation.experiments.interleaving import team_draft
from crosstower.recipe.yaml_reader import read_yaml
from crosstower.serving.http.experiments import RunningExperiments
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.schemas import RecommendRequest
from crosstower.serving.http.settings import Limits
from crosstower.serving.state.event_export import export_events

from ..conftest import Start, event
from .client import ids, problem, service_of

BLEND = {"weights": {"booking": 1.0}, "transform": "percentile", "by": "city"}
TEXT = """
experiments:
  - name: percentiles
    start: 2020-01-01
    holdout: 0.1
    arms:
      control: {share: 0.3}
      by_city: {share: 0.3, request: {blend: {weights: {booking: 1.0}, transform: percentile,
                by: city}}}
      mixed: {share: 0.2, interleave: [control, by_city]}
    metrics: {clicks: {event: click}}
"""
ARMS = Assignment(
    {"control": 0.3, "by_city": 0.3, "mixed": 0.2, "holdout": 0.1}, salt="percentiles"
)


def user_of(arm: str | None) -> int:
    return next(user for user in range(200) if ARMS.of(user) == arm)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "experiments.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def client(start: Start, file: Path) -> TestClient:
    return start(experiments=file)


def recommended(client: TestClient, **body: object):
    return client.post("/v1/recommend", json={"k": 5, **body}).json()


def test_each_arm_gets_what_its_request_would_get(client: TestClient, start: Start) -> None:
    plain = start(state="plain")
    for arm, more in (("control", {}), ("holdout", {}), ("by_city", {"blend": BLEND})):
        user = user_of(arm)
        found = recommended(client, user=user)
        assert (found["experiment"], found["arm"]) == ("percentiles", arm)
        expected = recommended(plain, user=user, **more)
        assert [i["item_id"] for i in found["items"]] == [i["item_id"] for i in expected["items"]]
        assert (expected["experiment"], expected["arm"]) == (None, None)
        assert found["items"][0]["team"] is None
    outside = recommended(client, user=user_of(None))
    assert (outside["experiment"], outside["arm"]) == (None, None)


def test_an_arm_stays_the_same_in_every_request(client: TestClient) -> None:
    for user in range(20):
        arms = {recommended(client, user=given)["arm"] for given in (user, str(user), user)}
        assert arms == {ARMS.of(user)}


def test_interleaved_lists_name_the_team_of_each_item(client: TestClient) -> None:
    user = user_of("mixed")
    response = client.post(
        "/v1/recommend", json={"user": user, "k": 6}, headers={"X-Request-ID": "mixed-1"}
    )
    found = response.json()
    assert found["arm"] == "mixed"
    plain = recommended(client, user=user_of(None))
    assert found["items"][0].keys() == plain["items"][0].keys()
    lists = [
        [i["item_id"] for i in recommended(client, user=user, k=6, blend=blend)["items"]]
        for blend in ({}, BLEND)
    ]
    drafted = team_draft(*lists, 6, request_id=found["request_id"])
    assert [i["item_id"] for i in found["items"]] == drafted.items
    names = ["control", "by_city"]
    assert [i["team"] for i in found["items"]] == [names[team] for team in drafted.teams]
    assert [i["rank"] for i in found["items"]] == list(range(1, 7))
    assert found["stages"] is None
    staged = recommended(client, user=user, stages=True)
    assert staged["stages"] is None
    assert "stages: not returned for interleaved lists" in staged["notices"]


def test_a_request_with_a_blend_of_its_own_is_outside(client: TestClient) -> None:
    for arm in ("control", "by_city", "mixed"):
        found = recommended(client, user=user_of(arm), blend=BLEND)
        assert (found["experiment"], found["arm"]) == (None, None)


def test_an_arm_with_few_candidates_serves_longer_lists(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    head, _, tail = TEXT.partition("blend: {weights")
    path.write_text(f"{head}candidates: 3}}}}{tail[tail.index('}}}') + 3 :]}")
    client, user = start(experiments=path), user_of("by_city")
    for k, ranked in ((2, 3), (12, 12)):
        found = recommended(client, user=user, k=k, stages=True)
        assert found["arm"] == "by_city"
        assert (len(found["items"]), found["stages"]["ranked"]) == (k, ranked)


def test_anonymous_requests_are_outside_unless_declared(
    client: TestClient, start: Start, tmp_path: Path
) -> None:
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    assert recommended(client, query=query)["arm"] is None
    path = tmp_path / "anonymous.yaml"
    path.write_text(TEXT.replace("holdout: 0.1", "holdout: 0.1\n    anonymous: request"))
    other = start(experiments=path, state="other")
    arms = {recommended(other, query=query)["arm"] for _ in range(40)}
    assert {"control", "by_city"} <= arms


def test_an_event_with_an_odd_experiment_does_not_hide_the_others(
    client: TestClient, file: Path, tmp_path: Path
) -> None:
    events = [event(type="impression", user=user, item_id=1) for user in range(60)]
    odd = [event(user=1, attributes={"experiment": {"a": 1}, "arm": 5, "team": [1]})]
    for one in (events, odd):
        assert client.post("/v1/events", json={"events": one}).status_code == 200
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    report = experiment_report(
        pl.read_parquet(tmp_path / "events.parquet"), load_experiments(file).named(None)
    )
    arms = [ARMS.of(user) for user in range(60)]
    assert report.users == {arm: arms.count(arm) for arm in report.users}


def test_events_are_stored_with_their_arm_and_reported(
    client: TestClient, file: Path, tmp_path: Path
) -> None:
    events, expected = [], {}
    for user in range(60):
        expected[user] = ARMS.of(user)
        events.append(event(type="impression", user=user, item_id=1))
        if user % 3:
            events.append(event(user=str(user), item_id=1, attributes={"page": 2}))
    own = event(user=user_of("control"), attributes={"experiment": None})
    assert client.post("/v1/events", json={"events": [*events, own]}).status_code == 200
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    frame = pl.read_parquet(tmp_path / "events.parquet")
    for row in frame.filter(pl.col("event_id") != own["event_id"]).iter_rows(named=True):
        arm = expected[int(row["user"])]
        assert row["attributes.arm"] == arm
        assert row["attributes.experiment"] == (None if arm is None else "percentiles")
    assert frame.filter(event_id=own["event_id"])["attributes.arm"][0] is None
    assert frame.filter(type="click")["attributes.page"][0] == 2
    report = experiment_report(frame, load_experiments(file).named(None))
    counts = {arm: sum(a == arm for a in expected.values()) for arm in report.users}
    assert report.users == counts
    first = next(c for c in report.lifts if c.arm == "by_city")
    clicks = sum(user % 3 > 0 and arm == "by_city" for user, arm in expected.items())
    assert first.lift.arm.value == pytest.approx(clicks / counts["by_city"])


def test_lists_that_the_server_logs_have_arm_and_team(client: TestClient, tmp_path: Path) -> None:
    mixed = recommended(client, user=user_of("mixed"), log=True, k=4)
    single = recommended(client, user=user_of("by_city"), log=True, k=4)
    own = recommended(client, user=user_of("by_city"), log=True, k=4, blend=BLEND)
    click = event(user=user_of("mixed"), request_id=mixed["request_id"])
    click |= {"item_id": mixed["items"][2]["item_id"]}
    client.post("/v1/events", json={"events": [click]})
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    frame = pl.read_parquet(tmp_path / "events.parquet").sort("rank")
    for response, arm in ((mixed, "mixed"), (single, "by_city"), (own, None)):
        rows = frame.filter(type="impression", request_id=response["request_id"])
        assert rows["item_id"].to_list() == [i["item_id"] for i in response["items"]]
        assert set(rows["attributes.arm"]) == {arm}
        assert rows["attributes.team"].to_list() == [i["team"] for i in response["items"]]
    drawn = frame.filter(type="impression", request_id=mixed["request_id"])
    assert set(drawn["attributes.propensity"]) == {None}
    experiment = load_experiments(tmp_path / "experiments.yaml").named(None)
    (found,) = experiment_report(frame, experiment).interleaved
    wins = tuple(int(mixed["items"][2]["team"] == name) for name in ("control", "by_city"))
    assert found.preference.wins == wins


def test_the_experiments_and_an_assignment_can_be_read(client: TestClient) -> None:
    (found,) = client.get("/v1/experiments").json()["experiments"]
    assert found == {
        "name": "percentiles",
        "start": "2020-01-01T00:00:00Z",
        "end": None,
        "active": True,
        "shares": {"control": 0.3, "by_city": 0.3, "mixed": 0.2, "holdout": 0.1},
        "versions": {},
        "arm": None,
    }
    user = user_of("by_city")
    (found,) = client.get("/v1/experiments", params={"user": user}).json()["experiments"]
    assert found["arm"] == "by_city"
    recommended(client, user=user)
    text = client.get("/metrics").text
    line = 'crosstower_experiment_requests_total{arm="by_city",experiment="percentiles"} 1.0'
    assert line in text


def test_a_server_without_experiments_has_none(start: Start) -> None:
    client = start()
    assert client.get("/v1/experiments").json() == {"experiments": []}
    assert recommended(client, user=1)["experiment"] is None


def test_arms_that_the_bundle_cannot_serve_stop_the_start(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace("booking: 1.0", "purchase: 1.0"))
    with pytest.raises(
        ServeError, match="'percentiles', arm 'by_city': the bundle cannot serve it"
    ):
        start(experiments=path)


def test_a_swap_to_a_bundle_that_cannot_serve_an_arm_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_live: object) -> None:
        raise ServeError("experiment 'percentiles', arm 'by_city': the bundle cannot serve it")

    service = service_of(client)
    monkeypatch.setattr(service.experiments, "check", refuse)
    response = client.post("/v1/model", json={"path": str(service.settings.bundle)})
    assert "arm 'by_city': the bundle cannot serve it" in problem(response, 422)["detail"]
    assert ids(client.post("/v1/recommend", json={"user": 1, "k": 3}))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{blend:", "{user: 3, blend:", "an arm cannot set 'user'; allowed: blend, candidates"),
        (
            "{blend:",
            "{candidates: 6000, blend:",
            r"candidates: this server allows at most 5,000, got 6",
        ),
        (
            "{blend:",
            "{explore: {kind: epsilon, epsilon: 0.1}, blend:",
            "'by_city' sets explore, but interleaved lists are not drawn",
        ),
        ("percentile,", "percentil,", r"arms\.by_city\.request.*percentil"),
    ],
)
def test_requests_of_arms_are_checked(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(RecipeError, match=words):
        RunningExperiments(load_experiments(path), Limits(), ServerMetrics())


def test_segments_that_no_request_can_have_are_named(tmp_path: Path) -> None:
    path = tmp_path / "segments.yaml"
    path.write_text(TEXT.replace("holdout", "segments: [city, device]\n    holdout"))
    running = RunningExperiments(load_experiments(path), Limits(), ServerMetrics())
    (words,) = running.unknown_segments(["city", "guests"])
    assert words == (
        "experiment 'percentiles': segment 'device' is not a query column (city, guests), so"
        " requests and users cannot have it; events can, in their query"
    )


def test_only_the_active_experiment_treats_requests(tmp_path: Path) -> None:
    plain = read_yaml(TEXT)["experiments"][0]
    assert plain["name"] == "percentiles"
    path = tmp_path / "two.yaml"
    second = TEXT.partition("experiments:\n")[2].replace("percentiles", "next")
    path.write_text(
        TEXT.replace("holdout", "end: 2020-02-01\n    holdout")
        + second.replace("2020-01-01", "2020-03-01")
    )
    time = datetime(2020, 1, 1, tzinfo=UTC)
    running = RunningExperiments(
        load_experiments(path), Limits(), ServerMetrics(), clock=lambda: time
    )
    found = []
    for days in (-1, 0, 40, 70):
        time = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=days)
        treatments = [running.treatment(RecommendRequest(user=user), "r") for user in range(40)]
        found.append({t.experiment for t in treatments if t is not None})
    assert found == [set(), {"percentiles"}, set(), {"next"}]


def test_an_arm_may_set_rules_and_exploration(start: Start, tmp_path: Path) -> None:
    rules = {"max_per": [{"column": "city", "most": 1}]}
    explore = {"kind": "epsilon", "epsilon": 0.5}
    arms = {
        "control": {"share": 0.0},
        "ruled": {"share": 1.0, "request": {"rules": rules, "explore": explore}},
    }
    one = {"name": "rules", "start": "2020-01-01", "arms": arms}
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"experiments": [one]}))
    found = recommended(start(experiments=path), user=5)
    plain = start(state="plain")
    assert found["arm"] == "ruled"
    assert all(0 < item["propensity"] < 1 for item in found["items"])
    assert "propensity" not in recommended(plain, user=5)["items"][0]
    cities = [item["attributes"]["city"] for item in found["items"]]
    assert len(set(cities)) == 5
    assert cities != [i["attributes"]["city"] for i in recommended(plain, user=5)["items"]]
