"""Values of reports as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def json_values(value: Any) -> Any:
    """Return plain data as JSON values: NaN and infinity are null, times are ISO 8601 text.

    >>> json_values({"auc": math.nan, "interval": (0.5, math.inf)})
    {'auc': None, 'interval': [0.5, None]}

    Args:
        value: mappings, lists and tuples of numbers, texts and times; or one of these.

    """
    if isinstance(value, Mapping):
        return {name: json_values(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
