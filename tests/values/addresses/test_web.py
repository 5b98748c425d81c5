import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.values.addresses import web
from crosstower.values.addresses.address import Address
from crosstower.values.addresses.remote import exists, file_at, input_file
from crosstower.values.addresses.web import downloaded

CONTENT = bytes(range(256)) * 1000


class Server(ThreadingHTTPServer):
    """Serves `files`; cuts `cuts` responses in the middle; sends ranges if `ranges`."""

    files: dict[str, bytes]
    cuts = 0
    ranges = True
    log: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        content = self.server.files.get(self.path)
        tag = f'"{hash(content)}"'
        if content is None:
            self.server.log.append("404")
            self.send_error(404)
            return
        start, status = 0, 200
        if self.headers.get("If-None-Match") == tag:
            self.server.log.append("304")
            self.send_response(304)
            self.end_headers()
            return
        asked = self.headers.get("Range")
        if asked and self.server.ranges and self.headers.get("If-Range") == tag:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
        self.server.log.append(str(status))
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.cuts > 0:
            self.server.cuts -= 1
            self.wfile.write(content[start : start + 50_000])
            return
        self.wfile.write(content[start:])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("CROSSTOWER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(web, "_PAUSE", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as made:
        made.files, made.log = {"/rows/big.bin": CONTENT}, []
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def at(server: Server, path: str) -> Address:
    return Address("http", f"127.0.0.1:{server.server_port}{path}")


def test_a_file_is_downloaded_once_and_confirmed_by_later_processes(server: Server) -> None:
    address = at(server, "/rows/big.bin")
    assert downloaded(address).read_bytes() == CONTENT
    with input_file(address) as file:
        file.seek(256)
        assert file.read(3) == b"\0\1\2"
    found = file_at(address)
    assert found is not None
    assert found.size == len(CONTENT)
    assert server.log == ["200"]
    downloaded.cache_clear()  # as in another process
    assert downloaded(address).read_bytes() == CONTENT
    server.files["/rows/big.bin"] = b"newer"
    downloaded.cache_clear()
    assert downloaded(address).read_bytes() == b"newer"
    assert server.log == ["200", "304", "200"]


@pytest.mark.parametrize(("ranges", "log"), [(True, ["200", "206", "206"]), (False, ["200"] * 3)])
def test_a_cut_download_goes_on_at_the_rest_or_starts_again(
    server: Server, ranges: bool, log: list[str]
) -> None:
    server.cuts, server.ranges = 2, ranges
    assert downloaded(at(server, "/rows/big.bin")).read_bytes() == CONTENT
    assert server.log == log


def test_a_connection_that_stays_broken_fails_by_name_and_leaves_no_file(server: Server) -> None:
    server.cuts, address = 100, at(server, "/rows/big.bin")
    with pytest.raises(OSError, match=rf"{address}: the connection broke 5 times: 250,000 of 256,"):
        downloaded(address)
    server.cuts = 0
    assert downloaded(address).read_bytes() == CONTENT


def test_what_a_server_lacks_is_missing_at_once(server: Server) -> None:
    assert not exists(at(server, "/none.csv"))
    assert file_at(at(server, "/none.csv")) is None
    assert set(server.log) == {"404"}
    with pytest.raises(FileNotFoundError, match="no such file"):
        downloaded(at(server, "/none.csv"))


def test_rows_of_a_web_server_are_the_rows_of_the_file(server: Server, tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "n": ["1", "2"]})
    for name in ("rows.csv", "rows.parquet"):
        path = tmp_path / name
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
        server.files[f"/{name}"] = path.read_bytes()
        source = open_source(str(at(server, f"/{name}")))
        assert pl.concat([c.frame for c in source.chunks(["id", "n"])]).equals(frame)
    with pytest.raises(DataError, match="web servers have no folders; name a file"):
        open_source(str(at(server, "/rows")))
    with pytest.raises(DataError, match="a pattern needs a store"):
        open_source(str(at(server, "/*.csv")))
