import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest

from crosstower.values.json_values import json_values


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64(math.nan)])
def test_numbers_that_json_does_not_have_are_null(value: float) -> None:
    assert json_values(value) is None
    found = json_values({"a": [1, {"b": (value, 0.5)}], "c": value})
    assert found == {"a": [1, {"b": [None, 0.5]}], "c": None}
    json.dumps(found, allow_nan=False)


def test_all_other_values_stay() -> None:
    plain = {"a": [1, -0.5, "NaN", None, True], "b": {}}
    assert json_values(plain) == plain


def test_times_are_text() -> None:
    assert json_values([datetime(2026, 11, 1, tzinfo=UTC)]) == ["2026-11-01T00:00:00+00:00"]
