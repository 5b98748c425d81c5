"""The role of a data column by its name: id, time, order, index or label."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_IDS = _words("id ids uuid guid code zip zipcode postcode user item sku asin isbn ip")
_GLUED_ID = re.compile(
    r"^(user|item|product|movie|film|video|artist|track|song|ad|campaign|session|device|news|article"
    r"|doc|post|author|business|seller|shop|store|query|customer|client|member|account|visitor|host"
    r"|listing|hotel|app|book|game|category|brand|city|country|genre|tag|event)s?ids?$"
)
_INDEX = re.compile(r"^(__index_level_\d+__|unnamed:? ?_?\d+|level_\d+|index|)$")
_ROW_NUMBERS = {"row id", "row", "row nr", "row number", "row no", "row index", "rowid", "rownum"}
_TIME_ENDS = _words("timestamp ts date datetime epoch")
_TIME_WORDS = _TIME_ENDS | _words("time at when created updated day")
_MOMENTS = _words(
    "event log click impression request order create created start end update updated rating review"
    " visit publish published unix server date local utc install purchase upload"
)
_ORDERS = _words("order seq sequence step turn tick rank index idx nr number")
_LABELS = _words(
    "label target y outcome income rating click clicks clicked conversion converted convert"
    " purchase purchased buy bought install installed like liked likes comment commented share"
    " shared follow followed favorite favourite favorited subscribe subscribed skip skipped dislike"
    " disliked watched booking booked paid churn churned forward hate"
)
_OF_AN_EVENT = _words("is has did was")
_SPENT = _words("watch watching play playing dwell view read reading listen stay")
_AMOUNTS = _words("time duration seconds secs sec ms ratio percent pct minutes")
_ITEMS = _words(
    "item product movie film video artist track song ad news article doc post listing hotel app"
    " book game restaurant home sku asin isbn"
)
_LISTS = _words("request session impression search visit pageview")
_EVENTS = _LABELS - {"label", "target", "y", "outcome", "income", "rating"}


def words_of(name: str) -> list[str]:
    """Return the words of a column name, in lower case.

    >>> [words_of(name) for name in ("userId", "user.id", "unixReviewTime", "USER_ID")]
    [['user', 'id'], ['user', 'id'], ['unix', 'review', 'time'], ['user', 'id']]
    """
    return [word.lower() for word in _WORD.findall(name.replace("IDs", "Ids"))]


def names_id(name: str) -> bool:
    """Return whether a name is that of an id, such as `movieId`, `user.id` or `zip`."""
    words = words_of(name)
    if not words or names_index(name):
        return False
    return words[-1] in _IDS or _GLUED_ID.match(words[-1]) is not None


def names_index(name: str) -> bool:
    """Return whether a name is that of a frame's index, such as `__index_level_0__`."""
    lower = name.strip().lower()
    return _INDEX.match(lower) is not None or " ".join(words_of(name)) in _ROW_NUMBERS


def names_time(name: str) -> bool:
    """Return whether a name is that of a time, such as `createdAt`, but not a duration."""
    words = words_of(name)
    if not words:
        return False
    last = (
        words[-2] if words[-1] in {"s", "ms", "us", "ns", "utc"} and len(words) > 1 else words[-1]
    )
    if last in _TIME_ENDS or (last == "at" and len(words) > 1):
        return True
    return last == "time" and (len(words) == 1 or bool(_MOMENTS & set(words[:-1])))


def hints_time(name: str) -> bool:
    """Return whether a name may be that of a time, if its values agree."""
    words = words_of(name)
    return bool(_TIME_WORDS & set(words)) and not _SPENT & set(words)


def names_user(name: str) -> bool:
    """Return whether a name is that of a user id."""
    return words_of(name) in (["user"], ["userid"], ["user", "id"])


def names_list(name: str) -> bool:
    """Return whether a name is that of the id of a list of rows, such as `request_id`."""
    words = words_of(name)
    return bool(words) and names_id(name) and words[0].removesuffix("id") in _LISTS


def names_item(name: str) -> bool:
    """Return whether a name is that of an item id, such as `movie_id` or `asin`."""
    words = words_of(name)
    return names_id(name) and len(words) <= 2 and words[0].removesuffix("id") in _ITEMS


def names_position(name: str) -> bool:
    """Return whether a name is that of a position in a list."""
    return bool({"position", "pos", "rank", "slot"} & set(words_of(name)))


def names_display(name: str) -> bool:
    """Return whether a name is that of how an item was shown: its position or propensity."""
    return names_position(name) or "propensity" in words_of(name)


def names_order(name: str) -> bool:
    """Return whether a name is that of a number that orders rows, such as `step`."""
    words = words_of(name)
    return bool(words) and not names_index(name) and (words[-1] in _ORDERS or words == ["t"])


def names_label(name: str) -> bool:
    """Return whether a name is that of a label, such as `click` or `is_like`."""
    words = words_of(name)
    if not words:
        return False
    if "label" in (words[0], words[-1]) or words[0] == "did":
        return True
    if words[0] in _OF_AN_EVENT:
        return len(words) > 1 and words[1] in _EVENTS
    return len(words) == 1 and words[0] in _LABELS


def names_outcome(name: str) -> bool:
    """Return whether a name is that of an outcome known only afterwards, such as `watch_time`."""
    words = words_of(name)
    return len(words) > 1 and bool(_SPENT & set(words)) and words[-1] in _AMOUNTS
