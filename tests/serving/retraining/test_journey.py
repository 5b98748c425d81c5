"""Train, serve, log over HTTP, retrain twice by the command; the server follows."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from crosstower.training.run import Run

from ...fixtures.live_films import LiveFilms
from ..processes import serving
from .films_log import films_plan

pytestmark = pytest.mark.slow

USERS = [*range(24), 901, 902]


def use(client: httpx.Client, salt: str) -> None:
    """Request a list per user, and click some of its items."""
    rng, events = random.Random(salt), list[dict[str, Any]]()
    for user in USERS:
        query = {"device": rng.choice(["tv", "phone"])}
        asked = {"user": user, "k": 5, "query": query}
        shown = client.post("/v1/recommend", json=asked).raise_for_status().json()
        assert shown["logged"]
        for item in shown["items"]:
            if rng.random() < 0.4:
                events.append(
                    {
                        "event_id": f"{salt}-{len(events)}",
                        "type": "click",
                        "user": user,
                        "item_id": item["item_id"],
                        "request_id": shown["request_id"],
                    }
                )
    client.post("/v1/events", json={"events": events}).raise_for_status()


def histories(client: httpx.Client) -> dict[int, list[Any]]:
    """Return the items of each user, oldest first; an unknown user has none."""
    answers = {user: client.get("/v1/users", params={"id": user}) for user in USERS}
    assert {answer.status_code for answer in answers.values()} <= {200, 404}
    return {
        user: [row["item_id"] for row in answer.json()["history"]] if answer.is_success else []
        for user, answer in answers.items()
    }


def retrained(bundle: Path, plan: Path, versions: Path, state: Path) -> dict[str, Any]:
    """Run the command; all windows are over an hour from now."""
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    command = [sys.executable, "-m", "crosstower", "retrain", str(bundle), "--json"]
    command += ["--plan", str(plan), "--versions", str(versions), "--state", str(state)]
    done = subprocess.run([*command, "--until", until], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_events_become_the_next_version(live_films: LiveFilms, tmp_path: Path) -> None:
    state, versions = tmp_path / "state", tmp_path / "versions"
    plan = films_plan(live_films.retrieval, live_films.ranking).model_dump_json()
    (tmp_path / "retrain.yaml").write_text(plan)
    given = live_films.bundle.folder, tmp_path / "retrain.yaml", versions, state
    with serving(live_films.bundle.folder, state, "--log") as server, server.client() as client:
        item = {"film": "new", "genre": 1}
        client.put("/v1/items", json={"items": [item]}).raise_for_status()
        first = client.get("/v1/model").json()
        assert first["number"] == 0
        known = histories(client)
        for number in (1, 2):
            use(client, f"{number}")
            before = histories(client)
            assert before != known
            found = retrained(*given)
            assert (found["outcome"], found["number"]) == ("published", number)
            until(lambda n=number: client.get("/v1/model").json()["number"] == n)
            answer = client.post("/v1/recommend", json={"user": 1, "log": False}).json()
            assert answer["version"] != first["version"]
            first = answer
            assert histories(client) == before  # what was live is trained now, and there once
            known = before
        similar = client.post("/v1/similar", json={"item": "new", "k": 3})
        assert similar.status_code == 200
    assert Run.open(versions / "0002" / "ranking").info.warm_start == str(
        (versions / "0001" / "ranking").resolve()
    )
    with serving(live_films.bundle.folder, state) as server, server.client() as client:
        assert client.get("/v1/model").json()["version"] == first["version"]
        assert histories(client) == known
