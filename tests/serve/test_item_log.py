import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crosstower.serve.item_log import put_entries

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
