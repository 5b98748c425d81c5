"""Changes of items: encoded once by the worker that writes them, applied by every worker."""

from pathlib import Path
from typing import Any

import pytest

from crosstower.funnel.online.catalogue import OnlineCatalogue
from crosstower.serving.state.state import State

from ..conftest import Start

ROW = {"listing_id": 10**6, "city": "Oslo", "price": 50.0, "amenities": ["pool"]}


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each call that encodes items."""
    calls, encode = list[int](), OnlineCatalogue.encode

    def noted(self: OnlineCatalogue, rows: Any) -> Any:
        calls.append(len(rows))
        return encode(self, rows)

    monkeypatch.setattr(OnlineCatalogue, "encode", noted)
    return calls


def found(client: Any) -> list[int]:
    body = {"user": 5, "where": "city == 'Oslo'", "k": 5}
    return [item["item_id"] for item in client.post("/v1/recommend", json=body).json()["items"]]


def test_a_put_item_is_encoded_once_by_each_worker(start: Start, encoded: list[int]) -> None:
    writer, other = start(), start()
    rows = [ROW, ROW | {"listing_id": 7}]
    assert writer.put("/v1/items", json={"items": rows}).status_code == 200
    assert sorted(found(writer)) == [7, 10**6]
    assert encoded == [2]
    assert sorted(found(other)) == [7, 10**6]
    assert encoded == [2, 2]


def test_changes_of_several_workers_come_in_their_order(start: Start, encoded: list[int]) -> None:
    one, two = start(), start()
    assert one.put("/v1/items", json={"items": [ROW]}).status_code == 200
    assert two.delete("/v1/items", params={"id": 10**6}).status_code == 200
    assert one.put("/v1/items", json={"items": [ROW | {"listing_id": 8}]}).status_code == 200
    assert found(one) == found(two) == [8]
    again = one.put("/v1/items", json={"items": [ROW, ROW | {"city": "Rome"}]})  # the last counts
    assert again.status_code == 200
    assert found(one) == found(two) == [8]
    app: Any = one.app
    assert app.state.service.items._own == {}


def test_an_item_that_cannot_be_read_is_not_written(start: Start, encoded: list[int]) -> None:
    client = start()
    bad = client.put("/v1/items", json={"items": [ROW, ROW | {"price": "dear"}]})
    assert bad.status_code == 422
    assert found(client) == []
    app: Any = client.app
    assert app.state.service.state.last_sequence() == 0


def test_columns_of_other_bundles_are_not_read(start: Start, tmp_path: Path) -> None:
    with State.open(tmp_path / "state") as state:  # as of an earlier bundle with one more column
        state.put_items([ROW | {"colour": "red"}, {"listing_id": 8, "city": 5}], item="listing_id")
    assert found(start()) == [10**6]
