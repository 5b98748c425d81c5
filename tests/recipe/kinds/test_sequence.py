"""A sequence: the last values of a list."""

import re

import polars as pl
import pytest

from crosstower.data.encoders.encoder_fit import draft_layout
from crosstower.errors import RecipeError
from crosstower.recipe.event_list import EventList
from crosstower.recipe.kinds.id_lists import ListState
from crosstower.recipe.kinds.kind import ListField
from crosstower.recipe.kinds.sequence import Sequence
from crosstower.recipe.schema import Schema
from crosstower.values.codes import HashBuckets


def test_a_sequence_keeps_its_last_values() -> None:
    column = Sequence(max_len=2, pooling="gru")
    learner = column.learner()
    learner.add(pl.Series([["a", "b", "c"], ["c"]]))
    state = learner.finish()
    codes, counts = column.coder(state)(pl.Series([["a", "b", "c"], None]))
    assert (codes.tolist(), counts.tolist()) == ([4, 5], [2, 0])
    assert column.inputs("seen", state) == ListField("seen", 6, "seen", 2, "gru")


def schema_of(**columns: object) -> Schema:
    return Schema(columns=columns, tasks={"click": "binary"})  # type: ignore[arg-type]


def test_the_target_is_the_item_of_the_same_table() -> None:
    history = {"kind": "sequence", "table": "item", "pooling": "target"}
    other = {"kind": "categorical", "table": "item"}
    alone = schema_of(item={"kind": "categorical", "dim": 5}, user="categorical", seen=history)
    (field,) = draft_layout(alone).lists
    assert (field.target, field.dim) == ("item", 5)
    named = schema_of(item="categorical", other=other, seen=history | {"target": "other"})
    assert draft_layout(named).lists[0].target == "other"
    for pooling, target in (("bst", "item"), ("hstu", None)):
        compared = schema_of(item="categorical", seen=history | {"pooling": pooling})
        assert draft_layout(compared).lists[0].target == target
    hstu = schema_of(item="categorical", seen=history | {"pooling": "hstu", "target": "item"})
    assert draft_layout(hstu).lists[0].target == "item"
    owner = {"kind": "sequence", "pooling": "target"}
    owned = schema_of(seen=owner, item={"kind": "categorical", "table": "seen"})
    assert draft_layout(owned).lists[0].target == "item"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "target"}, "but no categorical column has the table 'seen'"),
        ({"table": "item", "pooling": "target"}, "but item, other have the table 'item'; name one"),
        (
            {"table": "item", "pooling": "target", "target": "itm"},
            "target 'itm' is not a categorical column of the table 'item'; did you mean 'item'?",
        ),
        (
            {"table": "item", "target": "item"},
            "target: not read by pooling mean; set pooling to target, bst or hstu",
        ),
    ],
)
def test_a_target_that_is_not_one_column_is_refused(options: dict[str, str], message: str) -> None:
    other = {"kind": "categorical", "table": "item"}
    with pytest.raises(RecipeError, match=re.escape(message)):
        schema_of(item="categorical", other=other, seen={"kind": "sequence", **options})


def test_earlier_events_give_the_ids_of_the_owner_of_the_table() -> None:
    item = {"kind": "categorical", "source": "film"}
    history = {"kind": "sequence", "table": "item", "event": "like", "by": "user", "max_len": 7}
    whole = schema_of(item=item, seen=history, watched=history | {"source": "w", "by": ["a", "b"]})
    assert whole.event_lists() == (
        EventList("seen", ("like",), ("user",), value="film", length=7),
        EventList("w", ("like",), ("a", "b"), value="film", length=7),
    )
    assert schema_of(item="categorical").event_lists() == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event": "like"}, "event: not enough"),
        ({"by": "user"}, "by: not enough"),
        ({"event": "like", "by": "user", "table": None}, "name that column as its table"),
        ({"event": "like", "by": "user", "table": "tags"}, "name that column as its table"),
    ],
)
def test_events_without_a_key_or_ids_are_refused(options: dict[str, str], message: str) -> None:
    history = {"kind": "sequence", "table": "item"} | options
    with pytest.raises(RecipeError, match=re.escape(message)):
        schema_of(item="categorical", tags="bag", seen=history)


def test_options_of_the_pooling_reach_the_model() -> None:
    column = Sequence(pooling="bsarec", heads=2, alpha=0.5)
    field = column.inputs("seen", ListState(HashBuckets(9), 2))
    assert field.options == (("heads", 2), ("alpha", 0.5))
