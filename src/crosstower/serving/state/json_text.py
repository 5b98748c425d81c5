"""Values as JSON text: they are read back unchanged, or refused."""

from __future__ import annotations

import json
from typing import Any

from crosstower.values.ids import EXACT


def json_text(value: Any) -> str:
    """Return `value` as JSON; whole numbers of any size, nulls and lists survive.

    Raises:
        ValueError: JSON cannot hold it, such as NaN, or half of a character; says why.

    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except UnicodeEncodeError:
        reason = "text holds half of a character (a lone surrogate)"
    except RecursionError:
        reason = "it is nested too deeply"
    except TypeError as error:
        reason = str(error)
    except ValueError as error:  # of json: "Out of range float values are not JSON compliant"
        reason = "NaN and infinity are not JSON" if "float" in str(error) else str(error)
    else:
        return text
    raise ValueError(f"cannot be stored as JSON: {reason}")


def plain_json(value: Any) -> Any:
    """Return `value`; raise the error of `json_text` if it has no JSON form."""
    json_text(value)
    return value


def whole_json(value: Any) -> Any:
    """Return 7.0 as 7, as JSON does not distinguish them; all other values as they are.

    >>> [whole_json(value) for value in (7.0, 7.5, "7.0", 1e300)]
    [7, 7.5, '7.0', 1e+300]
    """
    whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return int(value) if whole else value
