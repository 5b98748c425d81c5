"""The route of experiment reports by itself: who may read them, and what it hands on."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from crosstower.errors import DataError, RecipeError
from crosstower.serving.http.problems import ApiError, respond_with_problems
from crosstower.serving.http.report_routes import report_routes

from .client import problem

ROUTE = "/v1/experiments/report"
TOKENS = {"read": ("r" * 16,), "write": ("w" * 16,), "admin": ("a" * 16,)}


class Reports:
    """Reports that are given, the names that were asked for, and reasons of refusals."""

    def __init__(self) -> None:
        self.asked, self.refused = list[str | None](), list[str]()
        self.report: dict[str, Any] | Exception = {}

    async def of(self, name: str | None) -> dict[str, Any]:
        self.asked.append(name)
        if isinstance(self.report, Exception):
            raise self.report
        return self.report


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def client(reports: Reports) -> TestClient:
    app = FastAPI()
    app.include_router(report_routes)
    respond_with_problems(app)
    metrics = SimpleNamespace(refused=reports.refused.append)
    app.state.reports = reports
    app.state.service = SimpleNamespace(tokens=dict(TOKENS), metrics=metrics)
    return TestClient(app, headers={"Authorization": f"Bearer {TOKENS['admin'][0]}"})


def test_a_report_is_handed_on_as_it_is(client: TestClient, reports: Reports) -> None:
    reports.report = {"name": "likes", "users": {"a": 3}, "lift": 0.1 + 0.2, "other": None}
    response = client.get(ROUTE, params={"name": "likes"})
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.text) == reports.report
    assert reports.asked == ["likes"]


def test_without_a_name_the_only_experiment_is_meant(client: TestClient, reports: Reports) -> None:
    assert client.get(ROUTE).status_code == 200
    assert reports.asked == [None]


def test_a_long_name_is_refused_before_it_is_looked_up(
    client: TestClient, reports: Reports
) -> None:
    assert client.get(ROUTE, params={"name": "n" * 64}).status_code == 200
    words = problem(client.get(ROUTE, params={"name": "n" * 65}), 422)["detail"]
    assert words.startswith("query.name: ")
    assert reports.asked == ["n" * 64]


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("x" * 16, 401), ("r" * 16, 403), ("w" * 16, 403)]
)
def test_nothing_is_computed_without_a_token_for_admin(
    client: TestClient, reports: Reports, token: str | None, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token}" if token else ""}
    problem(client.get(ROUTE, headers=headers), status)
    assert reports.asked == []
    assert reports.refused == ["unauthorised" if status == 401 else "forbidden"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RecipeError("experiments: no 'x'"), 422),
        (DataError("no events yet"), 422),
        (ApiError(503, "it took too long", reason="late"), 503),
    ],
)
def test_the_reason_why_there_is_no_report_is_a_problem(
    client: TestClient, reports: Reports, error: Exception, status: int
) -> None:
    reports.report = error
    assert str(error) in problem(client.get(ROUTE), status)["detail"]


def test_the_document_has_the_form_of_a_report(client: TestClient) -> None:
    document = client.app.openapi()  # type: ignore[attr-defined]
    route = document["paths"][ROUTE]["get"]
    schema = route["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/ExperimentReportResponse"}
    assert {"401", "403", "422", "503"} <= set(route["responses"])
    assert route["security"] == [{"HTTPBearer": []}]
