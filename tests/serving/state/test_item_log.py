import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.item_log import Change, ItemVector, put_entries
from crosstower.serving.state.state import State

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab \n\"'"), inner),
    max_leaves=8,
)  # fmt: skip


@given(row=st.dictionaries(st.text("abc"), JSON), name=st.integers() | st.text("xyz"))
def test_any_json_survives(row: dict[str, Any], name: int | str) -> None:
    row["key"] = name
    [(identity, text)] = put_entries([row], "key")
    assert (json.loads(identity), json.loads(text or "")) == (name, row)


def test_a_whole_float_is_an_integer() -> None:
    assert put_entries([{"key": 7.0}], "key")[0][0] == "7"
    with pytest.raises(DataError, match=r"expected an id, an integer or a text, got 7\.5"):
        put_entries([{"key": 7.5}], "key")


@pytest.mark.parametrize(
    ("given", "item", "words"),
    [
        ("{", None, "damaged: Expecting"),
        ("[1]", None, r"damaged: its id is \[1\]"),
        ("true", None, "damaged: its id is True"),
        ("1", "2", "damaged: its item is not an object"),
        ("1", "[2]", "damaged: its item is neither an object nor a vector"),
        ("1", '["a", "?"]', "damaged: its item is neither an object nor a vector"),
        ("1", '["a", "AAA="]', "damaged: its vector is not a list of float32"),
        ("1", '[1, "AAAAAA=="]', "damaged: its vector is not a list of float32"),
        ("1", '{"a"', "damaged: Expecting"),
        ("1", b"\xff", "damaged: "),
        ("1", "[" * 100_000, "damaged: "),
    ],
)
def test_a_damaged_row_is_named(home: str, given: str, item: Any, words: str) -> None:
    with State.open(home) as state:
        state.put_items([{"id": 1}], item="id")
        with state.database.writing() as connection:
            row = (given, item)
            connection.execute("INSERT INTO item_changes (id, item) VALUES (?, ?)", row)
        with pytest.raises(ServeError, match=f"change 2 of an item is {words}"):
            state.check()


KINDS = st.sampled_from(["put", "delete", "one", "two", "three", "four"])


@given(changes=st.lists(st.tuples(st.integers(0, 2), KINDS), max_size=14))
def test_compaction_keeps_what_decides(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, str]]
) -> None:
    """Per id the last row or removal, and later vectors of the three models that came last."""
    with State.open(tmp_path_factory.mktemp("state")) as state:
        check_compaction(state, changes)


def test_compaction_of_a_schema_keeps_the_same(schema: str) -> None:
    random = np.random.default_rng(3)
    kinds = ["put", "delete", "one", "two", "three", "four"]
    with State.open(schema) as state:
        for _ in range(20):
            with state.database.writing() as connection:
                connection.execute("TRUNCATE item_changes RESTART IDENTITY")
            sizes = random.integers(0, 3, int(random.integers(0, 15)))
            check_compaction(state, [(int(n), str(random.choice(kinds))) for n in sizes])


def check_compaction(state: State, changes: list[tuple[int, str]]) -> None:
    """Make changes, compact them, and compare with those that decide."""
    items: dict[int, Change] = {}
    vectors: dict[tuple[int, str], Change] = {}
    for number, (item, kind) in enumerate(changes, 1):
        values = number.to_bytes(4, "little")
        if kind == "put":
            state.put_items([{"id": item, "n": number}], item="id")
            items[item] = Change(number, item, {"id": item, "n": number})
        elif kind == "delete":
            state.delete_items([item])
            items[item] = Change(number, item, None)
        else:
            state.put_vectors({item: values}, weights=kind)
            vectors[item, kind] = Change(number, item, None, ItemVector(kind, values))
    models = [kind for _, kind in changes if kind not in ("put", "delete")]
    newest = list(dict.fromkeys(reversed(models)))[:3]
    later = [
        change
        for (item, kind), change in vectors.items()
        if kind in newest and (item not in items or change.sequence > items[item].sequence)
    ]
    kept = sorted([*items.values(), *later], key=lambda change: change.sequence)
    assert state.compact() == len(changes) - len(kept)
    assert list(state.changes_after(0)) == kept
