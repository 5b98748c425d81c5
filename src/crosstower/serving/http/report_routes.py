"""The route of experiment reports."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from crosstower.serving.http.access import Needs, TokenFirstRoute
from crosstower.serving.http.experiment_reports import ExperimentReportResponse
from crosstower.serving.http.problems import REFUSALS_OF_GET

report_routes = APIRouter(
    prefix="/v1",
    dependencies=[Depends(Needs("admin"))],
    tags=["reports"],
    route_class=TokenFirstRoute,
)


@report_routes.get(
    "/experiments/report",
    response_model=ExperimentReportResponse,
    responses=REFUSALS_OF_GET,
)
async def experiment_report(
    request: Request, name: Annotated[str | None, Query(max_length=64)] = None
) -> Response:
    """Return the report of an experiment up to now; it is at most a minute old."""
    return Response(
        to_json(await request.app.state.reports.of(name)), media_type="application/json"
    )
