"""Experiment arms with their own bundle: one state, several bundles, over HTTP."""

import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from fastapi.testclient import TestClient

from crosstower.errors import ServeError
from crosstower.evaluation.experiments.assignment import Assignment
from crosstower.evaluation.experiments.experiment_file import load_experiments
from crosstower.evaluation.experiments.interleaving import team_draft
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.http.server import prepared
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.event_export import export_events

from ...fixtures.funnels import Runs
from ...fixtures.live_films import LiveFilms
from ..conftest import Start, event
from .client import LISTING, ids, problem, service_of

SHARES = {"control": 0.3, "new": 0.3, "mixed": 0.3}
ARMS = Assignment(SHARES, salt="models")


def user_of(arm: str | None, users: Any = range(1_000)) -> int:
    return next(user for user in users if ARMS.of(user) == arm)


def experiments(folder: Path, bundle: Path | str, **new: Any) -> Path:
    """Write a file: `control` has the main bundle, `new` its own, `mixed` interleaves them."""
    arms = {name: {"share": share} for name, share in SHARES.items()}
    arms["new"] |= {"bundle": str(bundle), **new}  # type: ignore[operator]
    arms["mixed"] |= {"interleave": ["control", "new"]}  # type: ignore[operator]
    one = {"name": "models", "start": "2020-01-01", "arms": arms}
    one["metrics"] = {"clicks": {"event": "click"}}
    path = folder / "experiments.yaml"
    path.write_text(json.dumps({"experiments": [one]}))
    return path


@pytest.fixture(scope="module")
def other(blended: Runs, rentals: Runs, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The rentals without a blend, so in another order."""
    folder = tmp_path_factory.mktemp("other") / "bundle"
    return make_bundle([blended.retrieval, rentals.ranking], folder, candidates=30)


@pytest.fixture
def client(start: Start, other: Bundle, tmp_path: Path) -> TestClient:
    return start(experiments=experiments(tmp_path, other.folder))


def recommended(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/v1/recommend", json={"k": 6, **body})
    assert response.status_code == 200, response.text
    return response.json()


def test_the_bundle_of_an_arm_answers_its_requests(
    client: TestClient, start: Start, other: Bundle, bundle: Bundle
) -> None:
    plain = {"control": start(state="a"), "new": start(other.folder, state="b")}
    for arm, alone in plain.items():
        user = user_of(arm)
        found, expected = (recommended(one, user=user, stages=True) for one in (client, alone))
        assert found["items"] == expected["items"]
        assert found["stages"]["ranked"] == {"control": 50, "new": 30}[arm]
        version = {"control": bundle, "new": other}[arm].version
        assert (found["arm"], found["version"]) == (arm, version)
    outside = recommended(client, user=user_of(None))
    assert (outside["arm"], outside["version"]) == (None, bundle.version)
    (shown,) = client.get("/v1/experiments").json()["experiments"]
    assert shown["versions"] == {"new": other.version}


def test_two_bundles_are_interleaved_and_logged_with_both_versions(
    client: TestClient, start: Start, other: Bundle, bundle: Bundle, tmp_path: Path
) -> None:
    alone, user = [start(state="a"), start(other.folder, state="b")], user_of("mixed")
    found = recommended(client, user=user, log=True)
    lists = [[i["item_id"] for i in recommended(one, user=user)["items"]] for one in alone]
    drafted = team_draft(*lists, 6, request_id=found["request_id"])
    assert [i["item_id"] for i in found["items"]] == drafted.items
    assert [i["team"] for i in found["items"]] == [("control", "new")[t] for t in drafted.teams]
    assert found["version"] == f"{bundle.version}+{other.version}"
    single = recommended(client, user=user_of("new"), log=True)
    export_events(tmp_path / "state", tmp_path / "events.parquet")
    frame = pl.read_parquet(tmp_path / "events.parquet").filter(type="impression")
    for response in (found, single):
        rows = frame.filter(request_id=response["request_id"]).sort("rank")
        assert set(rows["attributes.version"]) == {response["version"]}
        assert rows["item_id"].to_list() == [i["item_id"] for i in response["items"]]


def test_requests_that_wait_together_get_the_list_of_their_own_bundle(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [user for user in range(40) if ARMS.of(user) in ("control", "new")][:12]
    alone = {user: recommended(client, user=user)["items"] for user in users}
    service = service_of(client)
    sizes = dict[str, list[int]]()
    for live in (service.live, *(served.live for served in service.arms)):
        assert live is not None
        many, seen = live.needs_funnel.recommend_each, sizes.setdefault(live.version, [])

        def counted(requests: Any, many: Any = many, seen: Any = seen) -> Any:
            seen.append(len(requests))
            return many(requests)

        monkeypatch.setattr(live.needs_funnel, "recommend_each", counted)
    with ThreadPoolExecutor(12) as pool:
        lists = list(pool.map(lambda user: recommended(client, user=user), users))
    assert [one["items"] for one in lists] == [alone[user] for user in users]
    arms = [ARMS.of(user) for user in users]
    assert [sum(seen) for seen in sizes.values()] == [arms.count("control"), arms.count("new")]


@pytest.mark.parametrize("arm", ["control", "new"])
def test_changed_items_reach_every_bundle_of_every_worker(
    start: Start, other: Bundle, tmp_path: Path, arm: str
) -> None:
    file, user = experiments(tmp_path, other.folder), user_of(arm)
    one, two = start(experiments=file), start(experiments=file)
    query = {"home_city": "Rome", "budget": 90, "wanted": "pool"}
    body = {"user": user, "k": 5, "where": "city == 'Atlantis'", "query": query}

    def found(client: TestClient) -> list[int]:
        return ids(client.post("/v1/recommend", json=body))

    assert one.put("/v1/items", json={"items": [LISTING]}).status_code == 200
    assert found(one) == found(two) == [10**6]
    assert found(start(experiments=file)) == [10**6]  # as after a restart
    assert two.delete("/v1/items", params={"id": 10**6}).status_code == 200
    assert found(one) == found(two) == []


def test_events_attributes_and_erasures_reach_the_bundle_of_an_arm(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    file = experiments(tmp_path, live_films.only.folder)
    client = start(live_films.bundle.folder, experiments=file)
    alone = start(live_films.only.folder, state="alone")
    user = user_of("new", range(1_000, 2_000))  # unknown in training

    def same() -> dict[str, Any]:
        found, expected = (recommended(one, user=user) for one in (client, alone))
        assert found["version"] == live_films.only.version
        assert found["items"] == expected["items"]
        return found

    assert same()["fallback"] == "popular"
    events = [event(user=user, item_id=item) for item in ("f01", "f04")]
    for one in (client, alone):
        assert one.post("/v1/events", json={"events": events}).status_code == 200
    found = same()
    assert found["fallback"] is None
    assert not {"f01", "f04"} & {item["item_id"] for item in found["items"]}
    for one in (client, alone):
        assert one.delete("/v1/users", params={"id": user}).status_code == 200
    assert same()["fallback"] == "popular"
    for one in (client, alone):
        rows = [{"user": user, "country": "FR"}]
        assert one.put("/v1/users", json={"users": rows}).status_code == 200
    assert same()["fallback"] == "popular_segment"


def test_columns_of_the_query_that_only_another_bundle_knows_are_left_out(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    file = experiments(tmp_path, live_films.only.folder)
    client = start(live_films.bundle.folder, experiments=file)
    alone = start(live_films.only.folder, state="alone")
    user = user_of("new")
    query = {"device": "tv", "country": "FR"}  # the arm's bundle reads no device
    refused = alone.post("/v1/recommend", json={"user": user, "query": query})
    assert "device" in problem(refused, 422)["detail"]
    found = recommended(client, user=user, query=query)
    assert found["items"] == recommended(alone, user=user, query={"country": "FR"})["items"]
    unknown = client.post("/v1/recommend", json={"user": user, "query": {"color": 1}})
    assert "color" in problem(unknown, 422)["detail"]


@pytest.mark.slow
def test_a_swap_changes_the_main_bundle_only(
    client: TestClient, other: Bundle, blended: Runs, tmp_path: Path
) -> None:
    new, control = (recommended(client, user=user_of(arm)) for arm in ("new", "control"))
    swapped = make_bundle([blended.retrieval, blended.ranking], tmp_path / "third", candidates=20)
    response = client.post("/v1/model", json={"path": str(swapped.folder)})
    assert response.json() == {"version": swapped.version, "previous": control["version"]}
    assert recommended(client, user=user_of("new"))["items"] == new["items"]
    found = recommended(client, user=user_of("control"), stages=True)
    assert (found["version"], found["stages"]["ranked"]) == (swapped.version, 20)
    text = client.get("/metrics").text
    lines = [
        f'crosstower_lists_total{{version="{version}"}} {count}'
        for version, count in (
            (control["version"], 1.0),
            (other.version, 2.0),
            (swapped.version, 1.0),
        )
    ]
    lines += [f'crosstower_model_info{{version="{other.version}"}} 1.0']
    assert [line for line in lines if line not in text] == []


def test_a_swap_to_a_bundle_unlike_those_of_the_arms_is_refused(
    client: TestClient, live_films: LiveFilms
) -> None:
    response = client.post("/v1/model", json={"path": str(live_films.bundle.folder)})
    words = "arm 'new': bundle: .* has the ids .*listing_id.*, the bundle that is served has .*film"
    assert re.search(words, problem(response, 422)["detail"])
    assert recommended(client, user=user_of("control"))["items"]


def _gone(folder: Path) -> None:
    shutil.rmtree(folder)


def _damaged(folder: Path) -> None:
    path = next(path for path in folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")


@pytest.mark.parametrize(
    ("damage", "words"),
    [(_gone, "no such bundle|no bundle|manifest"), (_damaged, "checksum|damaged|changed")],
)
def test_a_bundle_that_is_gone_or_damaged_refuses_the_start(
    other: Bundle, tmp_path: Path, start: Start, damage: Callable[[Path], None], words: str
) -> None:
    shutil.copytree(other.folder, tmp_path / "copy")
    shutil.copytree(other.folder, tmp_path / "main")
    file = experiments(tmp_path, "copy")  # relative to the file
    assert recommended(start(experiments=file), user=user_of("new"))["version"] == other.version
    damage(tmp_path / "copy")
    settings = Settings(
        bundle=tmp_path / "main", state=tmp_path / "new", experiments=load_experiments(file)
    )
    named = "experiment 'models', arm 'new': bundle: "
    with pytest.raises(ServeError, match=f"{named}.*copy.*({words})"), prepared(settings):
        pass
    with pytest.raises(ServeError, match=f"{named}.*copy.*({words})"):
        start(experiments=file, state="new")


def test_an_arm_that_its_bundle_cannot_serve_refuses_the_start(
    start: Start, other: Bundle, bundle: Bundle, live_films: LiveFilms, tmp_path: Path
) -> None:
    blend = {"blend": {"weights": {"purchase": 1.0}}}
    file = experiments(tmp_path, other.folder, request=blend)
    with pytest.raises(ServeError, match=r"arm 'new': the bundle cannot serve it: .*purchase"):
        start(experiments=file)
    file = experiments(tmp_path, live_films.bundle.folder)
    with pytest.raises(ServeError, match="both need the same"):
        start(experiments=file)


def test_an_experiment_that_has_ended_needs_no_bundle(
    start: Start, bundle: Bundle, tmp_path: Path
) -> None:
    file = experiments(tmp_path, "gone")
    file.write_text(file.read_text().replace('"start"', '"end": "2021-01-01", "start"'))
    client = start(experiments=file)
    assert recommended(client, user=user_of("new"))["version"] == bundle.version


@pytest.mark.parametrize("own", [False, True])
def test_interleaved_lists_charge_a_budget_for_shown_items_only(
    start: Start, other: Bundle, bundle: Bundle, tmp_path: Path, own: bool
) -> None:
    pacing = {"budget": 1_000, "period": 10**9}
    slots = {"where": "city == 'Paris'", "every": 2, "elsewhere": False, "pacing": pacing}
    file = experiments(tmp_path, other.folder if own else bundle.folder)
    plain = json.loads(file.read_text())
    for arm in ("control", "new"):
        plain["experiments"][0]["arms"][arm]["request"] = {"rules": {"slots": slots}}
    file.write_text(json.dumps(plain))
    client, user = start(experiments=file), user_of("mixed")
    ledger = service_of(client)._spending.ledger
    before, shown, charged = ledger.spent("city == 'Paris'\t"), 0, 0
    for number in range(12):
        found = recommended(client, user=user, k=5 + number % 3)
        cities = [(i["attributes"]["city"], i["team"]) for i in found["items"]]
        shown += sum(city == "Paris" for city, _ in cities)
        charged += 2 * ((5 + number % 3) // 2)  # of both lists before they are interleaved
    assert 0 < shown < charged
    assert ledger.spent("city == 'Paris'\t") - before == shown


def test_vectors_of_the_model_of_an_arm_act_in_the_arm_only(
    start: Start, live_films: LiveFilms, tmp_path: Path
) -> None:
    file = experiments(tmp_path, live_films.only.folder)
    client = start(live_films.bundle.folder, experiments=file)
    assert live_films.only.manifest.retrieval is not None
    body = {"weights": live_films.only.manifest.retrieval.weights}
    users = {arm: user_of(arm, range(1_000, 2_000)) for arm in ("control", "new")}

    def lists() -> dict[str, list[Any]]:
        query = {"country": "FR"}
        return {
            arm: recommended(client, user=user, query=query, history=["f01"])["items"]
            for arm, user in users.items()
        }

    before = lists()
    (served,) = service_of(client).arms
    query = served.live.needs_funnel.retriever.query(None, {}, history=["f01"])[0][0]
    body["vectors"] = [{"id": "f02", "vector": query.tolist()}]
    assert client.put("/v1/vectors", json=body).status_code == 200
    after = lists()
    assert after["control"] == before["control"]
    assert after["new"][0]["item_id"] == "f02"
    assert after["new"] != before["new"]
