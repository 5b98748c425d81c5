"""The HTTP application of one worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from crosstower.serving.http.access import Needs, Worker
from crosstower.serving.http.experiment_reports import ExperimentReports
from crosstower.serving.http.metrics import ServerMetrics
from crosstower.serving.http.middleware import Hosts, RequestMiddleware
from crosstower.serving.http.problems import (
    Problem,
    documented,
    problem_response,
    respond_with_problems,
)
from crosstower.serving.http.report_routes import report_routes
from crosstower.serving.http.routes import read_routes
from crosstower.serving.http.schemas import Health
from crosstower.serving.http.service import Service
from crosstower.serving.http.settings import Settings, tokens_of
from crosstower.serving.http.start_fault import starting
from crosstower.serving.http.tracing import Tracing
from crosstower.serving.http.user_routes import user_routes
from crosstower.serving.http.vector_routes import vector_routes
from crosstower.serving.http.warming import warm_up
from crosstower.serving.http.write_routes import write_routes

_TURN_SECONDS = 5e-4
PAGE = Path(__file__).parent / "page"
_WORDS = """Recommendations from a bundle: retrieve, rank, blend.

Errors are problem details (RFC 9457). Tokens, where the server has any, are of three scopes: read,
write, and admin.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application for settings, or for those that `crosstower serve` has left."""
    settings = settings or Settings.from_environment()
    metrics = ServerMetrics()
    service = Service(settings, tokens_of(os.environ), metrics)
    reports = ExperimentReports(settings.experiments, settings.state)
    tracing = Tracing.from_environment() if settings.tracing else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        # Short turns for the thread of the live bundle and that of the connections.
        sys.setswitchinterval(_TURN_SECONDS)
        try:
            with starting(settings.folder):
                await service.start()
                await warm_up(app, service)
            keeping = asyncio.create_task(service.keep_up())
            try:
                yield
            finally:
                keeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeping
        finally:
            await reports.stop()
            await service.stop()
            if tracing is not None:
                await asyncio.to_thread(tracing.close)

    app = _routed(lifespan)
    app.state.service, app.state.reports = service, reports
    names = Hosts(settings.host, settings.host_names)
    hosts = None if any(service.tokens.values()) else names
    app.add_middleware(
        RequestMiddleware,
        body_bytes=settings.limits.body_bytes,
        metrics=metrics,
        hosts=hosts,
        tracing=tracing,
        log=settings.log_format == "json",
    )
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document that each server has at `/openapi.json`."""
    return _routed(None).openapi()


def _routed(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None) -> FastAPI:
    """Return an application with all routes and without a service."""
    app = FastAPI(
        title="Crosstower",
        version=metadata.version("crosstower"),
        description=_WORDS,
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    respond_with_problems(app)
    app.include_router(read_routes)
    app.include_router(write_routes)
    app.include_router(user_routes)
    app.include_router(vector_routes)
    app.include_router(report_routes)
    _add_operations(app)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    _describe_problems(app)
    return app


def _add_operations(app: FastAPI) -> None:
    """Add the operational routes: health, readiness, metrics and the page."""

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Health:
        """Report that the process is alive."""
        return Health(status="ok")

    @app.get("/readyz", tags=["operations"], response_model=Health, responses=documented(503))
    async def readyz(service: Worker) -> Response:
        """Report whether a bundle is open, and the state is followed closely enough."""
        if (reason := service.not_ready()) is not None:
            return problem_response(503, reason, headers={"Retry-After": "1"})
        behind = round(service.state.behind(), 3)
        ready = Health(status="ready", version=service.version, state_behind=behind)
        text = ready.model_dump_json()
        return Response(text, media_type="application/json")

    @app.get(
        "/metrics",
        tags=["operations"],
        response_class=Response,
        responses={**documented(401, 403), 200: {"content": {"text/plain": {}}}},
        dependencies=[Depends(Needs("read"))],
    )
    async def metrics(service: Worker) -> Response:
        """Return metrics for Prometheus."""
        content, kind = await asyncio.to_thread(service.metrics.render)
        return Response(content, headers={"Content-Type": kind})

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")


def _describe_problems(app: FastAPI) -> None:
    """Put the form of problem details into the OpenAPI document, in place of FastAPI's own."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            document = made()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs", {}))
            schemas["Problem"] = problem
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
