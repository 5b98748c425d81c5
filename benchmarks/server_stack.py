"""Frameworks and servers alone: the same request is validated and the same answer is sent.

Needs `pip install litestar granian` and the extra `serve`; missing packages are left out.
Every pair runs in a process of its own with one worker, asked by four connections in a closed loop
from another process, in turn.
"""

import argparse
import asyncio
import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.serve import closed
from crosstower.serving.http.schemas import RecommendRequest

ANSWER = json.dumps(
    {"items": [{"rank": i, "item_id": i, "score": 0.5, "attributes": {}} for i in range(10)]}
).encode()
PAIRS = [(f, s) for f in ("fastapi", "litestar", "starlette") for s in ("uvicorn", "granian")]


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import Response

    app = FastAPI()

    @app.post("/v1/recommend")
    async def recommend(asked: RecommendRequest) -> Response:  # noqa: ARG001
        return Response(ANSWER, media_type="application/json")

    return app


def litestar() -> Any:
    from litestar import Litestar, Response, post

    @post("/v1/recommend", status_code=200)
    async def recommend(data: RecommendRequest) -> Response[bytes]:  # noqa: ARG001
        return Response(ANSWER, media_type="application/json")

    return Litestar([recommend])


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def recommend(request: Request) -> Response:
        RecommendRequest.model_validate_json(await request.body())
        return Response(ANSWER, media_type="application/json")

    return Starlette(routes=[Route("/v1/recommend", recommend, methods=["POST"])])


APPS: dict[str, Callable[[], Any]] = {
    "fastapi": fastapi,
    "litestar": litestar,
    "starlette": starlette,
}


def app() -> Any:
    """Return the application that the environment names; both servers call this."""
    import os

    return APPS[os.environ["STACK"]]()


def command(server: str, port: int) -> list[str]:
    target = "benchmarks.server_stack:app"
    if server == "uvicorn":
        more = ["--factory", "--port", str(port), "--log-level", "warning", "--no-access-log"]
        return [sys.executable, "-m", "uvicorn", target, *more]
    more = ["--factory", "--port", str(port), "--interface", "asgi", "--log-level", "warning"]
    return [str(Path(sys.executable).with_name("granian")), target, *more]


def measured(framework: str, server: str, seconds: float) -> float:
    """Return the responses per second."""
    import os

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "STACK": framework}
    process = subprocess.Popen(command(server, port), env=environment)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        asyncio.run(closed(port, 4, 1))
        return asyncio.run(closed(port, 4, seconds))
    finally:
        process.terminate()
        process.wait(30)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks server_stack", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args(arguments)
    print(describe(rounds=options.rounds, seconds=options.seconds))
    pairs = [p for p in PAIRS if all(importlib.util.find_spec(name) for name in p)]
    found: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for _ in range(options.rounds):
        for pair in pairs:
            found[pair].append(measured(*pair, options.seconds))
    print("| framework | server | answers/s | ms of an answer |\n|---|---|---|---|")
    for (framework, server), rates in found.items():
        rate = statistics.median(rates)
        spread = f"{rate:,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
        print(f"| {framework} | {server} | {spread} | {1e3 / rate:.2f} |", flush=True)
