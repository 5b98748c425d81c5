"""A bundle as a worker serves it: changes of items, and the metrics of its lists."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from crosstower.funnel.online.request import FunnelRequest
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.item_changes import ItemChanges
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.served import Served
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

from ...fixtures.live_films import UNTIL
from ...fixtures.sourced_films import SourcedFilms
from .client import LISTING


def test_it_applies_changes_of_items(live: Live, tmp_path: Path) -> None:
    with State.open(tmp_path) as state:
        served = Served(live, state, ItemChanges(state), ServerMetrics())
        state.put_items([LISTING], item="listing_id")
        first = state.heads()
        served.catch_up(first)
        state.delete_items([10**6])
        items = live.needs_funnel.catalogue.items
        served.catch_up(first)
        assert items.places_of([10**6])[0] >= 0
        served.catch_up(state.heads())
        assert items.places_of([10**6])[0] < 0


def test_a_bundle_built_with_changes_gets_the_vectors_among_them(
    live: Live, tmp_path: Path
) -> None:
    items = live.needs_funnel.catalogue.items
    ids = items.ids(np.arange(4))
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype("<f4")
    before = items.vectors(np.arange(4))
    with State.open(tmp_path) as state:
        weights = live.weights or ""
        pairs = dict(zip(ids, (row.tobytes() for row in vectors), strict=True))
        state.put_vectors(pairs, weights=weights)
        state.put_vectors({ids[1]: pairs[ids[2]]}, weights="another")
        row = items.attributes(np.array([2]))[0] | {"listing_id": ids[2]}
        last = state.put_items([row], item="listing_id")
        served = Served(live, state, ItemChanges(state), ServerMetrics(), applied=last)
        state.put_vectors({ids[3]: pairs[ids[0]]}, weights=weights)
        served.catch_up(state.heads())
    wanted = np.stack([vectors[0], vectors[1], before[2], vectors[0]])
    np.testing.assert_array_equal(items.vectors(items.places_of(ids)), wanted)


def test_lists_and_drift_are_counted_by_version(live: Live, tmp_path: Path) -> None:
    metrics = ServerMetrics()
    with State.open(tmp_path) as state:
        served = Served(live, state, ItemChanges(state), metrics)
        found = live.needs_funnel.recommend(FunnelRequest(user=1, k=10))
        for _ in range(60):  # 10 places each; 500 are needed
            served.record(found)
        served.show_figures()
    lines = metrics.render()[0].decode().splitlines()
    label = f'version="{live.version}"'
    assert f"crosstower_lists_total{{{label}}} 60.0" in lines
    drift = [line for line in lines if line.startswith("crosstower_score_drift{")]
    assert {"click", "booking"} == {line.split('task="')[1].split('"')[0] for line in drift}
    assert all(label in line and float(line.split()[-1]) > 0 for line in drift)


def test_trending_items_follow_the_events(sourced_films: SourcedFilms, tmp_path: Path) -> None:
    live = Live.open(sourced_films.bundle)
    funnel, start = live.needs_funnel, datetime.fromtimestamp(UNTIL, UTC)

    def trending() -> dict[str, float]:
        found = funnel.recommend(FunnelRequest(None, {"device": "tv"}))
        assert found.sources is not None
        ids = funnel.catalogue.items.ids(found.places)
        hits = {item: found.sources.of(row).get("trending") for row, item in enumerate(ids)}
        return {item: hit[1] for item, hit in hits.items() if hit is not None}

    with State.open(tmp_path) as state:
        served = Served(live, state, ItemChanges(state), ServerMetrics())
        served.catch_up(state.heads())
        before = trending()
        times = [start + timedelta(seconds=i) for i in range(1, 31)]
        state.add_events(
            [
                Event(event_id=f"e{i}", type="click", user=None, item_id="f05", time=time)
                for i, time in enumerate(times)
            ]
        )
        served.catch_up(state.heads())
        assert trending() == before  # until the second is over
        assert not served.renew()
        assert trending()["f05"] >= 30
        assert "f05" not in before
