"""A counter: options, the smoothed ratio and its scale against NumPy, and warm starts."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from crosstower.data.cleaner import Cleaner
from crosstower.data.sources.source import Chunk
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.event_count import EventCount
from crosstower.recipe.kinds.counter import Counter, ScaledCount
from crosstower.recipe.kinds.learner import Recalling
from crosstower.recipe.schema import Schema
from crosstower.recipe.validation import validate

NUMBER = Counter(event=("click",), by=("item_id",), window="7d")
RATIO = Counter(event=("click",), per=("impression",), by=("item_id",), window="1h", prior=5)
COUNTS = {"clicks": [0, 3, 20, 7, 1], "views": [0, 10, 40, 9, 300]}


def cleaned(column: Counter, rows: dict[str, list[Any]]) -> pl.Series:
    counts = [count.column for count in column.counts()]
    frame = pl.DataFrame(dict(zip(counts, rows.values(), strict=False)))
    frame = frame.with_columns(item_id=pl.lit(1))
    return Cleaner(Schema(columns={"n": column})).clean(Chunk(frame, "rows", 0, 0))["n"]


def learned(column: Counter, *parts: dict[str, list[Any]]) -> ScaledCount:
    learner = column.learner()
    for part in parts:
        learner.add(cleaned(column, part))
    return learner.finish()


def test_a_counter_in_short() -> None:
    schema = Schema.model_validate(
        {"columns": {"n": {"kind": "counter", "event": "click", "by": "item_id", "window": "7d"}}}
    )
    assert schema.columns["n"] == NUMBER
    assert schema.counts() == (EventCount(("click",), ("item_id",), 7 * 86_400 * 10**9),)
    assert schema.sources() == ["item_id", schema.counts()[0].column]
    assert Schema.model_validate(schema.plain()) == schema


def test_equal_counts_of_two_columns_are_one() -> None:
    other = Counter(event=("view",), per=("click",), by=("item_id",), window=604_800)
    schema = Schema(columns={"n": NUMBER, "m": NUMBER, "ratio": other})
    assert len(schema.counts()) == 2
    turned = Counter(event=("b", "a"), by=("item_id",), window=1)
    assert turned.counts() == Counter(event=("a", "b"), by=("item_id",), window=1).counts()


def test_a_number_is_scaled_as_a_numeric_column() -> None:
    logs = np.log1p(COUNTS["clicks"])
    wanted = (logs - logs.mean()) / logs.std()
    values = cleaned(NUMBER, COUNTS)
    assert np.allclose(NUMBER.coder(learned(NUMBER, COUNTS))(values)[:, 0], wanted)
    plain = NUMBER.model_copy(update={"transform": "none"})
    assert plain.coder(learned(plain, COUNTS))(values)[:, 0].tolist() == COUNTS["clicks"]


@pytest.mark.parametrize("transform", ["standardise", "none"])
def test_a_ratio_is_smoothed_to_the_rate_of_the_training_rows(transform: str) -> None:
    column = RATIO.model_copy(update={"transform": transform})
    clicks, views = (np.array(COUNTS[name], float) for name in COUNTS)
    rate = clicks.sum() / views.sum()
    wanted = (clicks + 5 * rate) / (views + 5)
    assert wanted[0] == pytest.approx(rate)
    parts = [{n: v[:2] for n, v in COUNTS.items()}, {n: v[2:] for n, v in COUNTS.items()}]
    state = learned(column, *parts)
    assert state.rate == pytest.approx(rate)
    if transform == "standardise":
        wanted = (wanted - wanted.mean()) / wanted.std()
    assert np.allclose(column.coder(state)(cleaned(column, COUNTS))[:, 0], wanted)
    assert np.allclose(state.numbers(np.stack([clicks, views], axis=1))[:, 0], wanted)


def test_without_events_a_ratio_is_the_same_for_all_rows() -> None:
    nothing = {"clicks": [0, 0], "views": [0, 0]}
    state = learned(RATIO, nothing)
    assert state.rate == 0.0
    assert RATIO.coder(state)(cleaned(RATIO, nothing)).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("column", [NUMBER, RATIO])
def test_a_warm_start_learns_from_all_rows(column: Counter) -> None:
    parts = [{n: v[:3] for n, v in COUNTS.items()}, {n: v[3:] for n, v in COUNTS.items()}]
    first, second = column.learner(), column.learner()
    first.add(cleaned(column, parts[0]))
    assert isinstance(first, Recalling)
    assert isinstance(second, Recalling)
    second.recall(first.memory(), first.finish())
    second.add(cleaned(column, parts[1]))
    whole, found = learned(column, COUNTS), second.finish()
    assert found.number.mean == pytest.approx(whole.number.mean)
    assert found.number.sd == pytest.approx(whole.number.sd)
    assert found.rate == pytest.approx(whole.rate)


def test_a_row_without_a_time_has_no_count() -> None:
    with pytest.raises(DataError, match="expected a time, from which events are counted, got None"):
        cleaned(NUMBER, {"clicks": [1, None]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event": [], "by": "a"}, r"columns\.n\.event: "),
        ({"event": "click", "by": ["a", "a"]}, "by repeats 'a'; name it once"),
        ({"event": ["a", "a"], "by": "a"}, "event repeats 'a'; name it once"),
        ({"event": "click", "by": "a", "prior": 2}, "prior: allowed only with per"),
        (
            {"event": "click", "by": "a", "delay": "8d"},
            "less than the window of 7d, got 8d",
        ),
        ({"event": "click", "by": "a", "window": "0.5s"}, "window: expected a duration from 1s"),
        ({"event": "click", "by": "a", "window": "9e9"}, "window: expected a duration"),
        (
            {"event": "click", "by": "a", "window": 3_999_999_960},
            "from 1s to 36500d, got 66666666m",
        ),
        ({"event": "click", "by": "a", "window": "soon"}, "window: expected a duration above 0"),
        (
            {"event": "a", "per": "b", "by": "a", "transform": "quantile"},
            "transform: expected standardise or none for a ratio, got 'quantile'",
        ),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    plain = {"columns": {"n": {"kind": "counter", "window": "7d", **options}}}
    with pytest.raises(RecipeError, match=message):
        validate(Schema, plain)


def test_a_label_is_no_key() -> None:
    column = NUMBER.model_copy(update={"by": ("click",)})
    with pytest.raises(RecipeError, match="column 'n' reads 'click', which is the label of task"):
        Schema(columns={"n": column}, tasks={"click": "binary"})
