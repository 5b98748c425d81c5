"""Users and their metrics against a loop over events."""

import json
import math
from datetime import timedelta

import polars as pl
import pytest

from crosstower.errors import DataError
from crosstower.evaluation.experiments.units import events_of, units_of

from ...fixtures.experiment_log import START, events, experiment


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    return events(users=120)


def test_metrics_are_counted_from_the_first_exposure_on(log: pl.DataFrame) -> None:
    one = experiment()
    early = log.filter(pl.col("type") == "click").head(1)
    odd = early.with_columns(user=pl.lit(3, pl.Int64), time=pl.lit(START).cast(log["time"].dtype))
    log = pl.concat([log, odd])  # a click before the first impression of the experiment
    frame = units_of(events_of(log, one, None), one).frame
    assert set(frame["arm"]) == {"control", "likes", "holdout"}
    for row in frame.iter_rows(named=True):
        mine = log.filter(user=int(row["unit"])).to_dicts()
        exposures = [
            e for e in mine if e["type"] == "impression" and e["attributes.experiment"] == "likes"
        ]
        first = min(e["time"] for e in exposures)
        inside = [e for e in mine if e["time"] >= first]
        past = [e for e in mine if START - timedelta(days=7) <= e["time"] < START]
        for name, part in (("top", inside), ("before", past)):
            kinds = [e["type"] for e in part]
            assert row[f"clicks:{name}"] == kinds.count("click")
            assert row[f"ctr:{name}"] == kinds.count("click")
            assert row[f"ctr:{name}_per"] == kinds.count("impression")
            assert row[f"buyers:{name}"] == ("purchase" in kinds)
            bought = sum(e["value"] or 0.0 for e in part if e["type"] == "purchase")
            assert row[f"revenue:{name}"] == pytest.approx(bought)
        assert row["first"] == first
        assert row["query.device"] == exposures[0]["query.device"]


def test_tags_without_a_text_column_are_read_from_the_json(log: pl.DataFrame) -> None:
    one, tags = experiment(), ["attributes.experiment", "attributes.arm"]
    texts = log.select(pl.struct(pl.col(n).alias(n[11:]) for n in tags).struct.json_encode())
    log = log.with_columns(texts.to_series().alias("attributes"))
    expected = units_of(events_of(log, one, None), one).frame
    numbers = pl.lit(5).alias("attributes.arm")
    for odd in (log.drop(tags), log.drop(tags[0]).with_columns(numbers)):
        assert units_of(events_of(odd, one, None), one).frame.equals(expected)


def test_the_end_and_a_given_time_cut_the_events(log: pl.DataFrame) -> None:
    end = START + timedelta(days=3)
    for found in (
        events_of(log, experiment(end="2026-11-04"), None),
        events_of(log, experiment(), end),
        events_of(log, experiment(end="2026-11-20"), end),
    ):
        assert found["time"].max() < end  # type: ignore[operator]
        assert found.height == log.filter(pl.col("time") < end).height


def test_users_of_several_arms_are_omitted_and_counted(log: pl.DataFrame) -> None:
    one = experiment()
    user = log.filter(pl.col("attributes.arm") == "control")["user"][0]
    other = log.filter(pl.col("user") == user, pl.col("attributes.arm") == "control").head(1)
    other = other.with_columns(pl.lit("likes").alias("attributes.arm"))
    units = units_of(events_of(pl.concat([log, other]), one, None), one)
    assert units.several_arms == 1
    assert str(user) not in units.frame["unit"].to_list()


def test_requests_without_a_user_are_users_of_their_own_if_declared(log: pl.DataFrame) -> None:
    log = log.with_columns(request_id=pl.format("r{}", pl.col("time").dt.epoch()))
    log = log.with_columns(user=pl.when(pl.col("user") < 60).then("user"))
    named = units_of(events_of(log, experiment(), None), experiment()).frame
    assert named["unit"].cast(pl.Int64).max() < 60  # type: ignore[operator]
    one = experiment(anonymous="request")
    units = units_of(events_of(log, one, None), one).frame["unit"]
    assert units.str.starts_with("user ").sum() == named.height
    assert units.str.starts_with("request r").sum() > named.height


def test_values_that_are_missing_are_counted(log: pl.DataFrame) -> None:
    lost = log.with_columns(value=pl.when(pl.col("value") > 20).then("value"))
    units = units_of(events_of(lost, experiment(), None), experiment())
    purchases = log.filter(pl.col("type") == "purchase")
    assert units.without_value == {"revenue": purchases.filter(pl.col("value") <= 20).height}


def test_times_without_a_zone_are_utc(log: pl.DataFrame) -> None:
    naive = log.with_columns(pl.col("time").dt.replace_time_zone(None))
    one = experiment()
    expected = units_of(events_of(log, one, None), one).frame
    assert units_of(events_of(naive, one, None), one).frame.equals(expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.drop("attributes.arm"), "no column 'attributes.arm', so no event belongs"),
        (lambda e: e.with_columns(pl.col("value").cast(pl.String)), "'value' must have numbers"),
        (
            lambda e: e.with_columns(value=pl.when(type="purchase").then(math.nan)),
            r"'value': expected finite numbers, or null .* in [\d,]+ of [\d,]+ events",
        ),
        (lambda e: e.drop("value"), "no column 'value'"),
        (lambda e: e.with_columns(time=pl.lit("today")), "must have dates with a time, got String"),
        (
            lambda e: e.filter(pl.col("type") == "click"),
            "no event of type 'impression', so no user was exposed; start the server with --log",
        ),
        (
            lambda e: e.with_columns(pl.lit("other").alias("attributes.experiment")),
            "experiment 'likes': no event of a user belongs to it",
        ),
    ],
)
def test_events_that_cannot_be_used_are_named(log: pl.DataFrame, change, words: str) -> None:
    with pytest.raises(DataError, match=words):
        events_of(change(log), experiment(), None)


def test_segments_without_a_column_are_read_from_the_json(log: pl.DataFrame) -> None:
    """As exported where the device of one event is a number, or the key is not a name."""
    one = experiment()
    device = pl.struct(pl.col("query.device").alias("device"))
    odd = log.with_columns(device.struct.json_encode().alias("query")).drop("query.device")
    expected = units_of(events_of(log, one, None), one).frame
    found = units_of(events_of(odd, one, None), one).frame
    assert found.select(expected.columns).equals(expected)
    text = pl.when(pl.int_range(pl.len()) == 0).then(pl.lit('{"device": 5}'))
    mixed = odd.sort("time").with_columns(query=text.otherwise("query"))
    devices = events_of(mixed, one, None).sort("time")["query.device"]
    assert devices[0] == "5"
    assert set(devices[1:]) == set(log["query.device"].drop_nulls())
    dotted = experiment(segments=["a.b'\"é"])
    named = log.with_columns(query=pl.lit(json.dumps({"a.b'\"é": "x"})))
    assert set(events_of(named, dotted, None)["query.a.b'\"é"]) == {"x"}
