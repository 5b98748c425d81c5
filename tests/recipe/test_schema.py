import pytest
from pydantic import ValidationError

from crosstower.errors import RecipeError
from crosstower.recipe.schema import Categorical, Numeric, Schema, is_single_coded


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


def test_which_columns_give_one_code_a_row() -> None:
    assert is_single_coded(Categorical())
    assert is_single_coded(Numeric(transform="bucketise"))
    assert not is_single_coded(Numeric())


def test_columns_cannot_be_changed() -> None:
    with pytest.raises(RecipeError, match=r"Categorical\.dim: cannot be changed; .*model_copy"):
        schema(EVERYTHING).columns["item"].dim = 3


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "at least 1 item"),
        ({"c": "categoric"}, "does not match any of the expected tags"),
        ({"c": {"kind": "numeric", "transfrom": "log1p"}}, "Extra inputs are not permitted"),
        ({"c": {"kind": "categorical", "hash_buckets": 9, "min_count": 2}}, "needs no vocabulary"),
        ({"c": {"kind": "categorical", "vocabulary": ["a"], "max_size": 2}}, "kept whole"),
        ({"c": {"kind": "categorical", "vocabulary": ["a", "a"]}}, "lists a value twice"),
        ({"c": {"kind": "categorical", "hash_buckets": 2**31}}, "less than 2147483648"),
        ({"c": {"kind": "numeric", "buckets": 8}}, "buckets only mean something with transform"),
        ({"c": {"kind": "numeric", "transform": "bucketise", "boundaries": [2, 1]}}, "increase"),
        ({"c": {"kind": "vector", "width": 0}}, "greater than or equal to 1"),
        ({"c": {"kind": "sequence", "max_len": 0}}, "greater than or equal to 1"),
        ({"c": "categorical", "x": {"kind": "cross", "columns": ["c"]}}, "at least 2 items"),
    ],
)
def test_an_impossible_column_is_refused(columns: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        schema(columns)


def test_a_cross_of_what_has_no_single_code_names_what_may_be_crossed() -> None:
    match = "cross 'x' names 'ag', which is not a categorical or bucketised column; did you mean"
    cross = {"kind": "cross", "columns": ["user", "ag"]}
    with pytest.raises(ValidationError, match=match):
        schema({"user": "categorical", "age": "categorical", "x": cross})
    with pytest.raises(ValidationError, match="names 'tags', which is not"):
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
    with pytest.raises(ValidationError, match="which does not own one"):
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
    with pytest.raises(ValidationError, match="which is the answer of task 'y'"):
        schema(columns, {"y": task})
