import pytest

from crosstower.cli.init.column_names import (
    names_display,
    names_id,
    names_index,
    names_item,
    names_label,
    names_list,
    names_order,
    names_outcome,
    names_time,
)

IDS = [
    "userId",
    "movieId",
    "user.id",
    "user_id",
    "USER_ID",
    "itemID",
    "id",
    "zip",
    "userid",
    "adid",
]
TIMES = ["ts", "timestamp", "createdAt", "created_at", "event_time", "eventTime", "unixReviewTime",
         "timestampMs", "review_date", "Date", "time", "utc_timestamp", "timestamp_s"]  # fmt: skip
ORDERS = ["order", "step", "seq", "session_order", "eventIdx", "t"]
INDEXES = ["__index_level_0__", "Unnamed: 0", "index", "level_0", "", "row_id", "rowNumber"]
LABELS = ["click", "like_label", "comment_label", "label_click", "is_like", "did_watch",
          "isClicked", "label", "y", "buy", "rating", "Purchased", "has_converted"]  # fmt: skip
OUTCOMES = ["watch_time", "watchTime", "play_duration", "dwell_time_ms", "watch_ratio"]
NAMES = {
    names_id: IDS, names_time: TIMES, names_order: ORDERS, names_index: INDEXES,
    names_label: LABELS, names_outcome: OUTCOMES,
}  # fmt: skip
ITEMS = ["item_id", "movieId", "listing_id", "adid", "asin", "sku", "ISBN", "item"]
OTHER_IDS = ["user_id", "zip", "session_id", "seller_id", "id", "parent_item_id"]
FEATURES = ["age", "price", "city", "video_duration", "is_weekend", "title", "lat", "paid_tier",
            "click_rate", "avg_rating", "n_likes", "valid", "hidden", "delivery_time"]  # fmt: skip


@pytest.mark.parametrize("rule", NAMES)
def test_names_are_told_apart(rule) -> None:
    assert [name for name in NAMES[rule] if not rule(name)] == []
    others = [n for other, names in NAMES.items() if other is not rule for n in names]
    assert [n for n in [*others, *FEATURES] if rule(n)] == []


def test_ids_of_items_are_told_from_other_ids() -> None:
    assert [name for name in [*ITEMS, *OTHER_IDS, *FEATURES] if names_item(name)] == ITEMS


def test_how_an_item_was_shown_is_told_from_features() -> None:
    shown = ["position", "adSlot", "propensity", "propensity_score"]
    assert [name for name in [*shown, *FEATURES, *OTHER_IDS] if names_display(name)] == shown


def test_lists_of_rows_by_name() -> None:
    lists = ["request_id", "sessionId", "search_id", "impressionID", "sessionid", "visit_uuid"]
    assert all(map(names_list, lists))
    assert not any(
        map(names_list, ["session", "search", "query_id", "user_id", "searches", "visit"])
    )
