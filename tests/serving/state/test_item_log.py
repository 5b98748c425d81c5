import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.errors import DataError, ServeError
from crosstower.serving.state.item_log import put_entries
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
        ("1", "[2]", "damaged: its item is no object"),
        ("1", '{"a"', "damaged: Expecting"),
        ("1", b"\xff", "damaged: "),
        ("1", "[" * 100_000, "damaged: "),
    ],
)
def test_a_damaged_row_is_named(tmp_path: Path, given: str, item: Any, words: str) -> None:
    with State.open(tmp_path) as state:
        state.put_items([{"id": 1}], item="id")
        with state.database.writing() as connection:
            row = (given, item)
            connection.execute("INSERT INTO item_changes (id, item) VALUES (?, ?)", row)
        with pytest.raises(ServeError, match=f"change 2 of an item is {words}"):
            state.check()
