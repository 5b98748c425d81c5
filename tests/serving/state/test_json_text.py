"""JSON that is kept: it comes back as it was, or is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.serving.state.json_text import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
)  # fmt: skip


@given(VALUES)
def test_a_value_comes_back_as_it_was(value: object) -> None:
    assert json.loads(json_text(value)) == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "NaN and infinity are not JSON"),
        ([float("inf")], "NaN and infinity are not JSON"),
        ("\ud800", "half of a character"),
        ({1, 2}, "set"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be stored as JSON: .*{reason}"):
        json_text(value)


def test_deep_nesting_is_refused() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        json_text(deep)
