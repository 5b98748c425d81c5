"""A server that responds as the HTTP interface says, with made-up items and no model behind it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from zlib import crc32

import numpy as np
import polars as pl

import crosstower.serving.http
from crosstower.data.filters.filter import parse_filter
from crosstower.errors import QueryError
from crosstower.serving.http.schemas import EventsRequest

from . import fake_loop
from .fake_items import CRUEL_NAME, TRANSFORMS, made_up_items, made_up_sources

PAGE = Path(crosstower.serving.http.__file__).parent / "page"
POLICY = (
    "default-src 'self'; style-src 'self'; img-src 'self' data:; script-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


class ProblemError(Exception):
    """What is served as application/problem+json."""

    def __init__(self, status: int, title: str, detail: str, where: str = "") -> None:
        self.status = status
        errors = {"errors": [{"where": where, "problem": detail}]} if where else {}
        words = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        self.body = words | errors


@dataclass
class FakeBundle:
    """What the server serves. Tests change its fields before they open the page."""

    stages: list[str] = field(default_factory=lambda: ["retrieve", "rank", "blend"])
    has_sources: bool = False
    blend: dict[str, Any] | None = field(
        default_factory=lambda: {
            "weights": {"like": 1.0, "comment": 2.0},
            "transform": "identity",
            "by": None,
            "mode": "sum",
            "amount": None,
            "diversity": {"by": "city", "caps": {"Paris": 2}},
        }
    )
    version: str = "3f9a1c07b2de"
    token: str | None = None
    admin: str | None = None
    histories: dict[str, list[int]] = field(default_factory=lambda: {"u1": [3, 4, 5, 6, 7]})
    items: pl.DataFrame = field(default_factory=made_up_items)

    def admit(self, authorization: str | None, path: str) -> None:
        """Refuse a request without the token, where the server has one."""
        if path == "/v1/experiments/report" and self.admin not in (None, (authorization or "")[7:]):
            raise ProblemError(403, "Forbidden", "this token may not read reports of experiments")
        if self.token is not None and authorization != f"Bearer {self.token}":
            detail = "this server needs a token with the scope read"
            raise ProblemError(401, "Not authorised", detail)

    def model(self) -> dict[str, Any]:
        """Return the response of GET /v1/model."""
        ranks = "rank" in self.stages
        tasks = [{"name": n, "kind": "binary"} for n in ("like", "comment")] if ranks else []
        attributes = [
            {"name": n, "type": str(t), "flag": n == "on_foot"}
            for n, t in self.items.schema.items()
            if n != "item_id"
        ]
        contexts = {"name": "context", "kind": "categorical", "examples": ["home", "feed"]}
        return {
            "version": self.version,
            "number": 1,
            "created": "2026-01-05T09:30:00Z",
            "name": "city-feed",
            "crosstower": "0.1.0",
            "stages": self.stages,
            "items": self.items.height,
            "candidates": 200,
            "limits": {"k": 100, "candidates": 500, "items": 500, "events": 100, "body_bytes": 1e6},
            "user_column": "user_id",
            "query_columns": [{"name": "user_id", "kind": "categorical", "examples": []}, contexts],
            "needed_columns": ["context"],
            "attributes": attributes,
            "text_search": "retrieve" in self.stages,
            "tasks": tasks,
            "blend": self.blend if ranks else None,
            "blend_by": ["content_type", "city"],
            "types": "content_type",
            "transforms": list(TRANSFORMS),
            "live_events": [],
            "shop": None,
            "sample_users": ["u1", "u7", "u12", "u40"],
            "metrics": {},
        }

    def recommend(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/recommend; an empty user gets the popular items."""
        user, history = body.get("user"), body.get("history")
        history = self.histories.get(user or "", []) if history is None else history
        rows = self._fitting(body.get("where")).filter(~pl.col("item_id").is_in(history))
        taste = 0.1 * len(history) * (pl.col("item_id") % 2)  # every click is one of odd items
        found = self._candidates(rows, body, taste)
        response = self._response(found, body)
        return response | {"fallback": None if body.get("user") else "popular"}

    def user(self, user: str) -> dict[str, Any]:
        """Answer GET /v1/users."""
        if user not in self.histories:
            raise ProblemError(404, "Not Found", f"user {user!r} is unknown")
        return fake_loop.user_of(user, self.histories[user])

    def rank(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/rank."""
        known = self.items.filter(pl.col("item_id").is_in(body["items"]))
        unknown = sorted(set(body["items"]) - set(known["item_id"]))
        rows = self._candidates(known, body).with_columns(
            retrieval_rank=pl.lit(None), retrieval_score=pl.lit(None)
        )
        return self._response(rows, body) | {"fallback": None, "unknown": unknown}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/search: items with any of the words in their title."""
        words = body["text"].lower().split()
        hits = sum(pl.col("title").str.to_lowercase().str.contains(w, literal=True) for w in words)
        rows = self._fitting(body.get("where")).with_columns(score=hits / len(words))
        return self._found(rows.filter(pl.col("score") > 0), body["k"])

    def similar(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/similar: items of the same city, those of a near price first."""
        one = self.items.row(by_predicate=pl.col("item_id") == body["item"], named=True)
        near = 1 / (1 + (pl.col("price") - one["price"]).abs())
        others = self.items.filter(
            pl.col("item_id") != one["item_id"], pl.col("city") == one["city"]
        )
        return self._found(others.with_columns(score=near), body["k"])

    def events(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answer POST /v1/events: an event of an item extends the history of its user."""
        events = EventsRequest.model_validate(body).events
        for event in events:
            if isinstance(event.item_id, int):
                self.histories.setdefault(str(event.user), []).append(event.item_id)
        return {"stored": len(events), "known": 0}

    def _fitting(self, where: str | None) -> pl.DataFrame:
        if not where:
            return self.items
        types = {n: t for n, t in self.items.schema.items() if n != "item_id"}
        try:
            return self.items.filter(parse_filter(where, types))
        except QueryError as error:
            raise ProblemError(422, "The request is not valid", str(error), "where") from None

    def _candidates(
        self, rows: pl.DataFrame, body: dict[str, Any], taste: pl.Expr | float = 0.0
    ) -> pl.DataFrame:
        random = np.random.default_rng(crc32(repr(body.get("user")).encode()))
        noise = pl.DataFrame(
            {
                "item_id": self.items["item_id"],
                "retrieval_score": random.normal(0.4, 0.2, self.items.height),
                "taste": random.normal(0, 0.8, self.items.height),
                "talk": random.normal(0, 0.8, self.items.height),
            }
        )
        lift = pl.col("content_type").replace_strict(
            {"photo": 0.4, "video": 1.2, "article": -0.8}, return_dtype=pl.Float64
        )
        attack = pl.when(pl.col("title") == CRUEL_NAME).then(5.0).otherwise(0.0)
        like = 1 / (1 + (-(lift + pl.col("taste") + attack - 1.8)).exp())
        comment = 1 / (1 + (-(pl.col("talk") - 1.3 * lift - 2.0)).exp())
        rows = rows.join(noise, on="item_id").with_columns(
            pl.col("retrieval_score") + attack / 8 + taste, like=like, comment=comment
        )
        rows = rows.sort("retrieval_score", descending=True).head(body.get("candidates") or 200)
        return rows.with_row_index("retrieval_rank", 1)

    def _response(self, rows: pl.DataFrame, body: dict[str, Any]) -> dict[str, Any]:
        blend = body.get("blend") or self.blend
        rows = self._scored(rows, blend).sort("score", descending=True).with_row_index("rank", 1)
        ranks, blended = "rank" in self.stages, "rank" in self.stages and blend is not None
        column = (blend or {}).get("by") or "content_type"
        listed = []
        for row in rows.iter_rows(named=True):
            tasks = {"like": row["like"], "comment": row["comment"]} if ranks else {}
            keys = ("item_id", "rank", "score", "retrieval_rank", "retrieval_score")
            listed.append({k: row[k] for k in keys} | {"predictions": tasks})
            listed[-1]["ranked_rank"] = row["ranked_rank"] if ranks else None
            listed[-1]["blended_rank"] = row["rank"] if blended else None
            listed[-1]["blend_score"] = row["score"] if blended else None
            listed[-1]["type"] = row[column]
            if self.has_sources and row["retrieval_rank"] is not None:
                listed[-1]["sources"] = made_up_sources(
                    row["retrieval_rank"], row["retrieval_score"]
                )
        first = [
            candidate
            | {"counts": {"clicks": [1_200], "ctr": [3, 40]}}
            | {"attributes": {n: row[n] for n in self.items.columns if n != "item_id"}}
            for candidate, row in zip(listed, rows.iter_rows(named=True), strict=True)
        ][: body["k"]]
        spent = {"retrieve": 1.21, "rank": 4.05, "blend": 0.42, "total": 6.13}
        stages = {"retrieved": rows.height, "ranked": rows.height, "candidates": listed}
        stages["milliseconds"] = {n: t for n, t in spent.items() if n in [*self.stages, "total"]}
        return {
            "request_id": "r1",
            "version": self.version,
            "items": first,
            "stages": stages if body.get("stages") else None,
        }

    def _scored(self, rows: pl.DataFrame, blend: dict[str, Any] | None) -> pl.DataFrame:
        rows = rows.with_columns(ranked_rank=pl.col("like").rank("ordinal", descending=True))
        if "rank" not in self.stages or rows.height == 0:
            return rows.with_columns(score="retrieval_score")
        if blend is None:
            return rows.with_columns(score="like")
        if not any(blend["weights"].values()):
            detail = "blend.weights: at least one weight must not be 0, or all rows score the same"
            raise ProblemError(422, "The request is not valid", detail, "blend.weights")
        total, transform = np.zeros(rows.height), blend.get("transform", "identity")
        groups = rows[blend["by"]] if blend.get("by") else pl.repeat("", rows.height, eager=True)
        for task, weight in blend["weights"].items():
            word = transform if isinstance(transform, str) else transform.get(task, "identity")
            for kind in groups.unique():
                of = (groups == kind).to_numpy()
                part = TRANSFORMS[word](rows[task].to_numpy()[of])
                total[of] += weight * (TRANSFORMS["standardise"](part) if blend.get("by") else part)
        return rows.with_columns(score=pl.Series(total))

    def _found(self, rows: pl.DataFrame, k: int) -> dict[str, Any]:
        first = rows.sort("score", descending=True, maintain_order=True).head(k)
        items = [
            {"rank": r, "item_id": row["item_id"], "score": row["score"]}
            | {"attributes": {n: row[n] for n in self.items.columns if n != "item_id"}}
            for r, row in enumerate(first.iter_rows(named=True), 1)
        ]
        return {"request_id": "r2", "version": self.version, "items": items}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bundle: ClassVar[FakeBundle]

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        user = (query.get("id") or query.get("user") or [None])[0]
        routes = {
            "/v1/model": self.bundle.model,
            "/v1/users": lambda: self.bundle.user(user or ""),
            "/v1/versions": fake_loop.versions,
            "/v1/experiments": lambda: fake_loop.experiments(user),
            "/v1/experiments/report": fake_loop.report,
        }
        file = PAGE / (path.removeprefix("/page/") if path != "/" else "index.html")
        if path in routes:
            self._response(lambda _: routes[path]())
        elif file.is_file() and file.parent in (PAGE, PAGE / "shop"):
            self._send(200, file.read_bytes(), f"{MEDIA[file.suffix]}; charset=utf-8")
        else:
            self._send(404, b"{}", "application/problem+json")

    def do_POST(self) -> None:
        names = ("recommend", "rank", "search", "similar", "events")
        self._response({n: getattr(self.bundle, n) for n in names}[self.path.removeprefix("/v1/")])

    def _response(self, route: Any) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        try:
            self.bundle.admit(self.headers.get("Authorization"), urlsplit(self.path).path)
            self._send(200, json.dumps(route(body)).encode(), "application/json")
        except ProblemError as problem:
            body = json.dumps(problem.body).encode()
            self._send(problem.status, body, "application/problem+json")

    def _send(self, status: int, body: bytes, media: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        with suppress(ConnectionError):  # the page calls off what is out of date
            self.wfile.write(body)


@contextmanager
def serving(bundle: FakeBundle, port: int = 0) -> Iterator[str]:
    """Serve a bundle on this machine until the block ends; give its address."""
    handler = type("Handler", (_Handler,), {"bundle": bundle})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
