from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
import yaml

from crosstower.errors import DataError
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.run_files import USER
from crosstower.serving.retraining.item_table import ItemRows
from crosstower.serving.retraining.plan import Label, Labels
from crosstower.serving.retraining.stage import Stage, stages_of
from crosstower.serving.retraining.training_rows import (
    TYPE,
    EventRowMaker,
    ranking_rows,
    retrieval_rows,
)

from ...fixtures.live_films import LiveFilms
from .films_log import START
from .test_stage import runs_of

KNOWN = pl.DataFrame({"film": ["f00", "f01", "gone"], "genre": [0, 1, 2]})
ITEMS = ItemRows("film", KNOWN.head(2), KNOWN, 5, 0)
TASKS = {"liked": Label(event="like")}


def log(*events: tuple[str, str, int, str, int]) -> pl.DataFrame:
    """Events of (type, request, user, item, seconds)."""
    kinds, requests, users, items, seconds = zip(*events, strict=True)
    return pl.DataFrame(
        {
            "event_id": [str(n) for n in range(len(events))],
            "type": kinds,
            "time": pl.Series([START + timedelta(seconds=s) for s in seconds]).cast(
                pl.Datetime("us", "UTC")
            ),
            "request_id": [r or None for r in requests],
            "user": users,
            "item_id": items,
            "rank": [n + 1 for n in range(len(events))],
            "value": pl.Series([None] * len(events), dtype=pl.Float64),
            "query.device": ["tv"] * len(events),
        }
    )


def maker(stages: list[Stage], **more: Any) -> EventRowMaker:
    given: dict[str, Any] = {
        "labels": Labels(window=60),
        "tasks": TASKS,
        "positives": ("like", "buy"),
        "items": ITEMS,
        "users": [pl.DataFrame({USER: [1], "country": ["FR"]})],
        "user": "user",
        "item": "film",
    }
    return EventRowMaker(stages, **(given | more))


@pytest.fixture
def stages(live_films: LiveFilms) -> list[Stage]:
    return stages_of(live_films.bundle, None, runs_of(live_films))


EVENTS = log(
    ("impression", "a", 1, "f00", 0),  # liked within the window
    ("impression", "a", 1, "f01", 0),  # bought, which is a positive but no label
    ("impression", "b", 2, "gone", 10),
    ("impression", "b", 2, "never", 10),  # an item that was never known
    ("impression", "c", 2, "f00", 500),  # its window is not over
    ("like", "a", 1, "f00", 20),
    ("buy", "a", 1, "f01", 30),
    ("like", "b", 2, "gone", 40),
    ("like", "", 9, "f01", 45),  # without an impression
    ("like", "c", 2, "f00", 505),
)


def test_impressions_are_labelled_and_positives_have_the_time_of_their_event(
    stages: list[Stage],
) -> None:
    found = maker(stages).rows(EVENTS, START + timedelta(seconds=100), None)
    shown = found.impressions
    assert shown.select("film", "liked", "device", "genre", "country").rows() == [
        ("f00", 1.0, "tv", 0, "FR"),
        ("f01", 0.0, "tv", 1, "FR"),
        ("gone", 1.0, "tv", 2, None),
    ]
    positives = found.positives.sort("time")
    seconds = [(t - START).total_seconds() for t in positives["time"]]
    pairs = list(zip(positives["user"], positives["film"], seconds, strict=True))
    assert pairs == [(1, "f00", 20), (1, "f01", 30), (2, "gone", 40), (9, "f01", 45)]
    assert set(found.notes) == {
        "impressions left out, as their attribution window is not over: 1",
        "events that label no impression: 1",
        "rows left out, as their items are unknown: 1",
    }


def test_rows_of_the_base_are_not_there_again(stages: list[Stage]) -> None:
    after = START + timedelta(seconds=5)
    found = maker(stages).rows(EVENTS, START + timedelta(seconds=100), after)
    assert found.impressions["film"].to_list() == ["gone"]
    reach = f"impressions left out, as the base rows reach to {after.isoformat()}: 2"
    assert reach in found.notes
    # An impression of the base rows that was liked after their end is a new positive.
    assert sorted(found.positives["film"]) == ["f00", "f01", "f01", "gone"]


def test_an_event_counts_once_wherever_the_cut_is(stages: list[Stage]) -> None:
    """The rows of two retrainings, and the events between, hold each event once."""
    for second in range(0, 60, 3):
        cut = START + timedelta(seconds=second)
        rows = maker(stages).rows(EVENTS, cut, None).positives
        until: Any = rows["time"].max()
        waiting = EVENTS.filter(pl.col("type").is_in(["like", "buy"]))
        if until is not None:
            waiting = waiting.filter(pl.col("time") > until)
        assert rows.height + waiting.height == 5


def test_rank_and_propensity_become_columns_if_the_plan_says_so(stages: list[Stage]) -> None:
    events = EVENTS.with_columns(pl.lit(0.25).alias("attributes.propensity"))
    labels = Labels(window=60, rank="position", propensity="chance")
    found = maker(stages, labels=labels).rows(events, START + timedelta(seconds=100), None)
    assert found.impressions["position"].to_list() == [1, 2, 3]
    assert found.impressions["chance"].to_list() == [0.25] * 3


def grouped(stage: Stage) -> Stage:
    """The stage with a loss of groups, which are searches, and weights of rows."""
    plain = yaml.safe_load(stage.recipe.to_yaml())
    plain["schema"]["tasks"] = {
        "liked": {"kind": "binary", "loss": "jrc", "sample_weight": "importance"}
    }
    plain["training"]["group"] = "search"
    return replace(stage, recipe=Recipe.model_validate(plain))


def test_groups_are_requests_if_the_plan_says_so(stages: list[Stage]) -> None:
    events = EVENTS.with_columns(pl.lit(2.0).alias("query.importance"))
    listwise, until = [grouped(stages[1])], START + timedelta(seconds=100)
    labels = Labels(window=60, request="search")
    found = maker(listwise, labels=labels).rows(events, until, None)
    assert found.impressions["search"].to_list() == ["a", "a", "b"]
    match = r"column 'search' \(training.group\) is missing in all 3 rows of events: set labels.req"
    with pytest.raises(DataError, match=match):
        maker(listwise).rows(events, until, None)


def test_rows_without_a_weight_are_left_out(stages: list[Stage]) -> None:
    heavy = pl.when(pl.col("request_id") == "a").then(2.0).alias("attributes.importance")
    until, labels = START + timedelta(seconds=100), Labels(window=60, request="search")
    made = maker([grouped(stages[1])], labels=labels).rows(EVENTS.with_columns(heavy), until, None)
    assert made.impressions["search"].to_list() == ["a", "a"]
    key = "schema.tasks.liked.sample_weight"
    assert f"rows left out, as they lack 'importance' ({key}): 1" in made.notes


@pytest.mark.parametrize("column", ["value", "rank", "type", "labelled_at"])
def test_labels_and_columns_of_events_may_have_the_same_name(
    stages: list[Stage], column: str
) -> None:
    events = EVENTS.with_columns(pl.when(pl.col("type") == "like").then(4.5).alias("value"))
    tasks = {column: Label(event="like", value=True)}
    found = maker(stages, tasks=tasks).rows(events, START + timedelta(seconds=100), None)
    assert found.impressions[column].to_list() == [4.5, None, 4.5]


def test_a_type_that_was_never_sent_is_an_error_that_names_the_others(stages: list[Stage]) -> None:
    tasks = {"liked": Label(event="lik")}
    match = r"labels.tasks.liked: no event of type 'lik' .* \(types found: buy, impression, like\)"
    with pytest.raises(DataError, match=match):
        maker(stages, tasks=tasks).rows(EVENTS, START, None)
    with pytest.raises(DataError, match=r"labels.positives: no event of type click, tap"):
        maker(stages, positives=("click", "tap")).rows(EVENTS, START, None)


def test_labels_that_are_values_need_events_with_values(stages: list[Stage]) -> None:
    valued = maker(stages, tasks={"liked": Label(event="like", value=True)})
    match = r"labels.tasks.liked: no event of type 'like' has a value.* set value: false"
    with pytest.raises(DataError, match=match):
        valued.rows(EVENTS, START, None)


def test_the_retriever_learns_from_items_that_the_next_bundle_has(stages: list[Stage]) -> None:
    retrieval = stages[0]
    made = maker(stages).rows(EVENTS, START + timedelta(seconds=100), None)
    base = retrieval.base(None, ["user"])
    rows = retrieval_rows(retrieval, base, made.positives, ITEMS, "user")
    assert set(rows["film"]) == {"f00", "f01"}
    known = base.filter(pl.col("film").is_in(["f00", "f01"])).height
    assert rows.height == known + 3
    assert rows.columns == ["film", "user", "country", "device", "time"]


def test_rows_of_events_follow_the_base_rows(stages: list[Stage]) -> None:
    ranking = stages[1]
    made = maker(stages).rows(EVENTS, START + timedelta(seconds=100), None)
    base = ranking.base(None, []).with_columns(pl.col("device").cast(pl.Categorical))
    rows = ranking_rows(ranking, base, made.impressions)
    assert rows.height == base.height + 3
    assert rows["device"].dtype == pl.String
    assert rows["liked"].tail(3).to_list() == [1.0, 0.0, 1.0]
    assert set(rows.columns) == {"had", "device", "film", "genre", "liked", "time"}


def test_keys_of_counted_events_are_those_that_a_server_finds(live_films: LiveFilms) -> None:
    """A key may be called like a column of events, and is not an attribute of the user."""
    ranking = stages_of(live_films.bundle, None, runs_of(live_films))[1]
    plain = yaml.safe_load(ranking.recipe.to_yaml())
    plain["data"] |= {"events": "rows", "time": "time"}
    counter = {"kind": "counter", "event": "like", "by": ["type", "country"], "window": "1d"}
    plain["schema"]["columns"]["likes"] = counter
    counting = replace(ranking, recipe=Recipe.model_validate(plain))
    items = replace(ITEMS, known=KNOWN.with_columns(pl.lit("series").alias("type")))
    found = maker([counting], items=items).rows(EVENTS, START + timedelta(seconds=100), None)
    assert found.counted.select(TYPE, "type", "country").unique().rows() == [
        ("like", "series", None)
    ]
    until, after = START + timedelta(seconds=100), START + timedelta(seconds=40)
    later = maker([counting], items=items).rows(EVENTS, until, START, counted_after=after)
    assert later.counted["event_id"].to_list() == ["8", "9"]
