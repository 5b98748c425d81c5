"""A log of the films: impressions, clicks and changes of items in a server's state."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crosstower.serving.bundle import building
from crosstower.serving.bundle.forms import EAGER
from crosstower.serving.retraining.plan import RetrainPlan
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State
from crosstower.training.run import Run

from ...fixtures.live_films import FILMS, UNTIL

START = datetime.fromtimestamp(UNTIL, UTC)
SECONDS = 10
"""Between two impressions."""


def film_events(
    first: int, count: int, *, users: int = 70, seed: int = 0, kind: str = "click"
) -> list[Event]:
    """Impressions in lists of three, 10 seconds apart, and clicks 5 seconds after most of them."""
    random, found = np.random.default_rng(seed), list[Event]()
    user, films = 0, list[int]()
    for n in range(first, first + count):
        if n % 3 == 0:
            user = int(random.integers(0, users))
            weights = np.where(np.arange(FILMS) % 3 == user % 3, 4.0, 0.5)
            films = random.choice(FILMS, 3, replace=False, p=weights / weights.sum()).tolist()
        film = films[n % 3]
        given: dict[str, Any] = {
            "request_id": f"r{n // 3}",
            "user": user,
            "item_id": f"f{film:02d}",
        }
        time = START + timedelta(seconds=SECONDS * (n + 1))
        more: dict[str, Any] = {"rank": n % 3 + 1, "query": {"device": "tv"}}
        found.append(Event(event_id=f"i{n}", type="impression", time=time, **given, **more))
        if random.random() < (0.8 if film % 3 == user % 3 else 0.2):
            clicked = time + timedelta(seconds=5)
            found.append(Event(event_id=f"c{n}", type=kind, time=clicked, **given))
    return found


def films_plan(retrieval: Run, ranking: Run, **more: Any) -> RetrainPlan:
    """A plan for a small log, whose gate lets all pass that can be served."""
    plain: dict[str, Any] = {
        "runs": {"retrieval": str(retrieval.folder), "ranking": str(ranking.folder)},
        "labels": {"window": "1m", "tasks": {"liked": "click"}},
        "rows": {"min_new": 50},
        "gate": {
            "max_loss": 0.9,
            "calibration": None,
            "drift": None,
            "min_rows": 10,
            "min_users": 2,
            "samples": 100,
        },
    }
    return RetrainPlan.model_validate(plain | more)


def filled_state(folder: Path, events: list[Event]) -> Path:
    """A state with events, a new film and a deleted one."""
    with State.open(folder) as state:
        state.add_events(events)
        state.put_items([{"film": "new", "genre": 1}], item="film")
        state.delete_items(["f05"])
    return folder


def without_exports(patch: pytest.MonkeyPatch) -> None:
    """Make bundles without the export of the ranker, which takes most of a small retraining."""
    patch.setattr(building, "write_fastest", lambda *_, **__: EAGER)
