import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crosstower.serving.bundle import Bundle
from crosstower.serving.http.app import openapi_document

from ..conftest import Start
from .client import ids, service_of


def test_a_list_is_that_of_the_bundle(client: TestClient, bundle: Bundle) -> None:
    query = {"home_city": "Rome", "budget": 90}
    response = client.post("/v1/recommend", json={"user": 5, "k": 7, "query": query})
    expected = bundle.funnel().recommend(5, k=7, query=query)
    found = response.json()
    assert found["version"] == bundle.version
    assert found["request_id"] == response.headers["x-request-id"]
    assert found["fallback"] is None
    assert found["stages"] is None
    assert ids(response) == expected["item_id"].to_list()
    first, row = found["items"][0], expected.row(0, named=True)
    assert first["score"] == pytest.approx(row["score"], rel=1e-5)
    assert first["retrieval_rank"] == row["retrieval_rank"]
    assert first["predictions"]["booking"] == pytest.approx(row["booking__prediction"], rel=1e-5)
    assert first["attributes"]["city"] == row["city"]
    assert first["attributes"]["amenities"] == row["amenities"]


def test_figures_for_prometheus(client: TestClient) -> None:
    body = {"user": 10**9, "query": {"home_city": "Atlantis"}}
    client.post("/v1/recommend", json=body)
    client.post("/v1/recommend", json={"k": 3})
    client.post("/v1/recommend", json={"k": 0})
    text = client.get("/metrics").text
    for line in (
        'crosstower_requests_total{route="/v1/recommend",status="200"} 2.0',
        'crosstower_requests_total{route="/v1/recommend",status="422"} 1.0',
        'crosstower_fallbacks_total{reason="popular"} 1.0',
        'crosstower_unseen_values_total{column="home_city"} 1.0',
        'crosstower_values_total{column="home_city"} 2.0',
        "crosstower_items 1500.0",
    ):
        assert line in text
    assert 'crosstower_stage_duration_seconds_count{stage="rank"} 2.0' in text


def test_lists_that_wait_are_served_together_as_alone(start: Start) -> None:
    client = start()
    bodies = [{"user": n, "k": n + 1, "stages": n == 3} for n in range(12)]
    bodies[5]["k"] = 51
    alone = [client.post("/v1/recommend", json=body) for body in bodies]
    service, portal, sizes = service_of(client), client.portal, list[int]()
    assert portal is not None
    assert service.live is not None
    assert service.live.funnel is not None
    many = service.live.funnel.recommend_each

    def counted(requests: Any) -> Any:
        sizes.append(len(requests))
        return many(requests)

    service.live.funnel.recommend_each = counted  # type: ignore[method-assign]
    blocking = portal.start_task_soon(service.run, lambda _live: time.sleep(0.3))
    with ThreadPoolExecutor(len(bodies)) as threads:
        found = list(threads.map(lambda body: client.post("/v1/recommend", json=body), bodies))
    for mine, theirs in zip(found, alone, strict=True):
        assert mine.status_code == theirs.status_code
        alike(mine.json(), theirs.json())
    blocking.result(20)
    assert max(sizes) > 1
    assert sum(sizes) == len(bodies)


def alike(mine: Any, theirs: Any) -> None:
    """Compare two responses but for what differs each time, numbers to six digits."""
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"request_id", "milliseconds"}:
            alike(mine[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            alike(one, other)
    else:
        assert mine == (pytest.approx(theirs, rel=1e-5) if isinstance(theirs, float) else theirs)


def test_the_document_without_a_bundle_is_that_of_a_server(client: TestClient) -> None:
    assert client.get("/openapi.json").json() == openapi_document()
