"""The OpenAPI document against the server, with requests that nobody would think of."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import checks

from crosstower.bundle import Bundle

from .processes import serving

OPERATIONS = [
    *(("POST", f"/v1/{name}") for name in ("recommend", "rank", "search", "similar", "events")),
    *(("PUT", "/v1/items"), ("DELETE", "/v1/items"), ("GET", "/v1/model"), ("POST", "/v1/model")),
    *(("GET", path) for path in ("/healthz", "/readyz", "/metrics")),
]


@pytest.fixture(scope="module")
def document(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[schemathesis.BaseSchema]:
    state = tmp_path_factory.mktemp("server") / "state"
    with serving(bundle.folder, state) as server:
        yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_makes_it_fail(
    document: schemathesis.BaseSchema,
    method: str,
    path: str,
    mode: schemathesis.GenerationMode,
) -> None:
    """What the document allows may still be refused: a filter may name no column."""
    strategy = document[path][method].as_strategy(generation_mode=mode)

    @given(data=st.data())
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    def check(data: st.DataObject) -> None:
        case = data.draw(strategy)
        case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])

    check()


def test_every_route_is_tried(document: schemathesis.BaseSchema) -> None:
    there = {(o.ok().method.upper(), o.ok().path) for o in document.get_all_operations()}
    assert there == set(OPERATIONS)
