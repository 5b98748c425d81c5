import random
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.serving.retraining.labels import LABELLED_AT, label_impressions
from crosstower.serving.retraining.plan import Label, Labels

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA: dict[str, Any] = {
    "event_id": pl.String,
    "type": pl.String,
    "time": pl.Datetime("us", "UTC"),
    "request_id": pl.String,
    "user": pl.Int64,
    "item_id": pl.String,
    "value": pl.Float64,
}
TASKS = {"click": Label(event="click"), "watched": Label(event="watch", value=True, window=30)}
LABELS = Labels(window=100)


def frame(*events: dict[str, Any]) -> pl.DataFrame:
    """Events; `time` is given in seconds."""
    empty = dict.fromkeys(SCHEMA)
    rows = [{**empty, "event_id": str(n), **e} for n, e in enumerate(events)]
    for row in rows:
        row["time"] = START + timedelta(seconds=row["time"])
    return pl.DataFrame(rows, schema=SCHEMA)


def log(seed: int, count: int = 120) -> list[dict[str, Any]]:
    """A log of few users, items and requests, so that all cases of a match occur."""
    rng = random.Random(seed)
    events: list[dict[str, Any]] = []
    for _ in range(count):
        kind = rng.choice(["impression", "impression", "click", "watch", "scroll"])
        events.append(
            {
                "type": kind,
                "time": rng.randrange(600),
                "request_id": rng.choice([None, "a", "b", "c"]),
                "user": rng.choice([None, 1, 2, 3]),
                "item_id": rng.choice([None, "x", "y", "z"]),
                "value": rng.choice([None, 0.5, 2.0]),
            }
        )
    return events


def shown_once(numbered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first impression of each user, request and item."""
    there: set[Any] = set()
    shown = []
    for e in sorted(numbered, key=lambda e: e["time"]):
        if e["type"] != "impression" or e["item_id"] is None:
            continue
        key = (e["request_id"], e["user"], e["item_id"])
        if e["request_id"] is None or key not in there:
            shown.append(e)
        there.add(key)
    return shown


def expected(
    events: list[dict[str, Any]], until: float
) -> tuple[dict[str, dict[str, Any]], set[tuple[str, str]]]:
    """Return labels by impression, and (task, event) of events that label none, one by one."""
    numbered = [{**e, "event_id": str(n)} for n, e in enumerate(events)]
    shown = shown_once(numbered)
    labels = {e["event_id"]: {"click": 0.0, "watched": None, LABELLED_AT: None} for e in shown}
    alone = set()
    for task, label in TASKS.items():
        for e in sorted(numbered, key=lambda e: (e["time"], int(e["event_id"]))):
            if e["type"] != label.event or e["item_id"] is None:
                continue
            if e["request_id"] is not None:
                keys, ahead = ("request_id", "item_id"), 60
            else:
                keys, ahead = ("user", "item_id"), 0
            fitting = [
                s for s in shown
                if all(s[k] is not None and s[k] == e[k] for k in keys)
                and s["time"] <= e["time"] + ahead
            ]  # fmt: skip
            newest = max(fitting, key=lambda s: s["time"], default=None)
            if newest is None or e["time"] > newest["time"] + (label.window or LABELS.window):
                alone.add((task, e["event_id"]))
                continue
            mine = labels[newest["event_id"]]
            mine[task] = e["value"] if label.value else 1.0
            mine[LABELLED_AT] = max(mine[LABELLED_AT] or 0, e["time"])
    rows = {e["event_id"] for e in shown if e["time"] <= until}
    return {key: label for key, label in labels.items() if key in rows}, alone


@pytest.mark.parametrize("seed", range(40))
def test_labels_equal_those_of_a_search_event_by_event(seed: int) -> None:
    events = log(seed)
    # Times of the impressions differ: which of two at the same time is newest is undefined.
    seen: set[int] = set()
    for event in events:
        while event["type"] == "impression" and event["time"] in seen:
            event["time"] += 1
        seen.add(event["time"])
    until = 500
    labels, alone = expected(events, until)
    found = label_impressions(frame(*events), LABELS, TASKS, until=START + timedelta(seconds=until))
    rows = {
        row["event_id"]: {
            "click": row["click"],
            "watched": row["watched"],
            LABELLED_AT: None
            if row[LABELLED_AT] is None
            else (row[LABELLED_AT] - START).total_seconds(),
        }
        for row in found.rows.iter_rows(named=True)
    }
    assert rows == labels
    single = {
        (task, row["event_id"])
        for row in found.alone.iter_rows(named=True)
        for task, label in TASKS.items()
        if row["type"] == label.event
    }
    assert single == alone
    assert found.alone.height == len(alone)


def test_an_event_counts_for_one_impression() -> None:
    shown = [{"type": "impression", "time": t, "user": 1, "item_id": "x"} for t in (0, 10, 20)]
    click = {"type": "click", "time": 15, "user": 1, "item_id": "x"}
    found = label_impressions(
        frame(*shown, click), LABELS, {"click": TASKS["click"]}, until=START + timedelta(days=1)
    )
    assert found.rows["click"].to_list() == [0.0, 1.0, 0.0]
    assert found.alone.is_empty()


def test_the_event_of_an_impression_that_is_no_row_yet_labels_no_earlier_one() -> None:
    shown = [{"type": "impression", "time": t, "user": 1, "item_id": "x"} for t in (0, 50)]
    click = {"type": "click", "time": 60, "user": 1, "item_id": "x"}
    until = START + timedelta(seconds=20)
    found = label_impressions(frame(*shown, click), LABELS, {"click": TASKS["click"]}, until=until)
    assert found.rows["click"].to_list() == [0.0]
    assert found.alone.is_empty()


def test_the_last_value_counts_and_a_missing_one_is_as_declared() -> None:
    shown = [{"type": "impression", "time": 0, "request_id": r, "item_id": "x"} for r in "ab"]
    watched = [
        {"type": "watch", "time": t, "request_id": "a", "item_id": "x", "value": v}
        for t, v in ((9, 3.0), (5, 7.0))
    ]
    for missing in (None, -1.0):
        tasks = {"watched": Label(event="watch", value=True, missing=missing)}
        found = label_impressions(frame(*shown, *watched), LABELS, tasks, until=START)
        assert found.rows["watched"].to_list() == [3.0, missing]


def test_late_events_and_repeated_impressions_are_counted() -> None:
    shown = {"type": "impression", "time": 0, "request_id": "a", "user": 1, "item_id": "x"}
    again = shown | {"time": 1}
    click = {"type": "click", "time": 101, "request_id": "a", "user": 1, "item_id": "x"}
    found = label_impressions(
        frame(shown, again, click), LABELS, {"click": TASKS["click"]}, until=START + timedelta(1)
    )
    assert (found.rows.height, found.repeated, found.late) == (1, 1, 1)
    assert found.rows["click"].to_list() == [0.0]
    assert found.alone["event_id"].to_list() == ["2"]
    found = label_impressions(
        frame(shown, again, click), LABELS, {"click": TASKS["click"]}, until=START
    )
    assert found.late == 0  # the click lies after the rows


def test_a_clock_that_is_slightly_behind_loses_no_label() -> None:
    shown = {"type": "impression", "time": 60, "request_id": "a", "user": 1, "item_id": "x"}
    for time, label in ((0, 1.0), (-1, 0.0)):
        click = {"type": "click", "time": time, "request_id": "a", "user": 1, "item_id": "x"}
        found = label_impressions(
            frame(shown, click),
            LABELS,
            {"click": TASKS["click"]},
            until=START + timedelta(seconds=60),
        )
        assert found.rows["click"].to_list() == [label]


def test_no_impressions_are_an_error_that_names_the_types() -> None:
    events = frame({"type": "click", "time": 0, "item_id": "x"}, {"type": "view", "time": 0})
    with pytest.raises(DataError, match=r"no event of type 'impression' .* found: click, view"):
        label_impressions(events, LABELS, TASKS, until=START)
