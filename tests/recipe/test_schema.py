import pytest
from pydantic import ValidationError

from crosstower.recipe.schema import Schema


def schema(columns: dict, tasks: dict | None = None) -> Schema:
    return Schema.model_validate({"columns": columns, "tasks": tasks or {"y": "binary"}})


EVERYTHING = {
    "user": {"kind": "categorical", "min_count": 2, "max_size": 10, "dim": 4},
    "city": {"kind": "categorical", "vocabulary": ["Faro", "Bergen"]},
    "device": {"kind": "categorical", "hash_buckets": 100},
    "age": {"kind": "numeric", "transform": "bucketise", "boundaries": [18, 65]},
    "price": {"kind": "numeric", "transform": "log1p", "clip": None},
    "tags": {"kind": "bag", "separator": "|", "max_len": 5, "pooling": "max"},
    "item": "categorical",
    "history": {"kind": "sequence", "table": "item", "max_len": 20, "source": "clicks"},
    "picture": {"kind": "vector", "width": 8, "normalise": "l2"},
    "user_age": {"kind": "cross", "columns": ["user", "age"], "hash_buckets": 1000, "dim": 4},
}
TASKS = {
    "click": {"kind": "binary", "column": "event", "positive": "click", "weight": 2.0},
    "seconds": {"kind": "regression", "log1p": True, "clip": [0, 600]},
    "stars": {"kind": "rating", "low": 0, "high": 10},
}


def test_a_schema_survives_the_way_to_plain_data_and_back() -> None:
    full = schema(EVERYTHING, TASKS)
    assert Schema.model_validate(full.plain()) == full
    assert full.plain()["columns"]["item"] == {"kind": "categorical"}


def test_sources_are_data_columns_each_once() -> None:
    full = schema(EVERYTHING | {"age_group": {"kind": "categorical", "source": "age"}}, TASKS)
    assert full.sources() == [
        "user", "city", "device", "age", "price", "tags", "item", "clicks", "picture",
    ]  # fmt: skip
    assert full.label_sources() == ["event", "seconds", "stars"]


def test_true_probabilities_are_label_sources() -> None:
    tasks = {"y": {"kind": "binary", "true_probability": "p"}}
    assert schema({"c": "categorical"}, tasks).label_sources() == ["y", "p"]


def test_a_cross_of_what_has_no_single_code_names_what_may_be_crossed() -> None:
    match = "cross 'x': 'ag' is not a categorical or bucketised column; did you mean"
    cross = {"kind": "cross", "columns": ["user", "ag"]}
    with pytest.raises(ValidationError, match=match):
        schema({"user": "categorical", "age": "categorical", "x": cross})
    with pytest.raises(ValidationError, match="'tags' is not a categorical"):
        schema(
            {
                "user": "categorical",
                "tags": "bag",
                "x": {"kind": "cross", "columns": ["user", "tags"]},
            }
        )


def test_a_shared_table_must_be_owned() -> None:
    seen = {"kind": "sequence", "table": "itm"}
    with pytest.raises(ValidationError, match="did you mean 'item'"):
        schema({"item": "categorical", "seen": seen})
    chain = {"kind": "sequence", "table": "seen"}
    with pytest.raises(ValidationError, match="is not a column with its own table"):
        schema({"item": "categorical", "seen": seen | {"table": "item"}, "more": chain})


def test_options_of_a_shared_table_belong_to_its_owner() -> None:
    seen = {"kind": "sequence", "table": "item", "min_count": 2, "dim": 4}
    with pytest.raises(ValidationError, match="set dim, min_count there"):
        schema({"item": "categorical", "seen": seen})


@pytest.mark.parametrize(
    ("columns", "task"),
    [
        ({"y": "categorical"}, "binary"),
        ({"c": {"kind": "numeric", "source": "y"}}, "binary"),
        ({"event": "categorical"}, {"kind": "binary", "column": "event"}),
        ({"p": "numeric"}, {"kind": "binary", "true_probability": "p"}),
    ],
)
def test_a_model_must_not_read_its_label(columns: dict, task: object) -> None:
    with pytest.raises(ValidationError, match="which is the label of task 'y'"):
        schema(columns, {"y": task})


def test_counts_of_events_come_before_their_lists() -> None:
    both = schema(
        {
            "item": "categorical",
            "had": {"kind": "sequence", "table": "item", "event": "click", "by": "user"},
            "clicks": {"kind": "counter", "event": "click", "by": "user", "window": "7d"},
        }
    )
    assert both.event_inputs() == (*both.counts(), *both.event_lists())
    assert [type(one).__name__ for one in both.event_inputs()] == ["EventCount", "EventList"]
