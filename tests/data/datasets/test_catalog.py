import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crosstower.data.datasets import catalog
from crosstower.data.datasets.catalog import dataset_names, describe, get
from crosstower.errors import DataError

ADULT = "39, State-gov, 77516, Bachelors, 13, Never-married, Sales, Husband, White, Male, 0, 0, 40,"


def archive(members: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, text in members.items():
            file.writestr(name, text.encode("latin-1"))
    return content.getvalue()


ARCHIVES = {
    "movielens-100k": archive(
        {
            "ml-100k/u.data": "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
            "ml-100k/u.user": "196|49|M|writer|55105\n186|39|F|executive|00000\n",
            "ml-100k/u.item": "242|Kolja (1996)|24-Jan-1997||http://x/?Kolya|" + "|".join("0" * 19),
        }
    ),
    "movielens-1m": archive(
        {
            "ml-1m/ratings.dat": "1::1193::5::978300760\n",
            "ml-1m/users.dat": "1::F::1::10::48067\n",
            "ml-1m/movies.dat": "1193::Amélie (2001)::Drama|Comedy\n",
        }
    ),
    "adult": archive(
        {
            "adult.data": f"{ADULT} United-States, <=50K\n\n",
            "adult.test": f"|1x3 Cross validator\n{ADULT} ?, >50K.\n",
        }
    ),
}


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A web site: its address, and the pages that a test puts there."""
    pages: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            self.send_response(200)
            cut = self.path == "/cut"
            self.send_header("Content-Length", str(len(pages[self.path]) * (2 if cut else 1)))
            self.end_headers()
            self.wfile.write(pages[self.path])

        def log_message(self, *_arguments: Any) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    thread.join()
    server.server_close()


Site = tuple[str, dict[str, bytes]]


@pytest.fixture(autouse=True)
def checksums(monkeypatch: pytest.MonkeyPatch) -> dict[str, catalog.Dataset]:
    """Expect the small archives of this file; return the data sets as they are."""
    real = dict(catalog._DATASETS)
    for name, content in ARCHIVES.items():
        expect(monkeypatch, name, content)
    return real


def expect(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes) -> None:
    expected = replace(describe(name), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(catalog._DATASETS, name, expected)


class Bar:
    """Remembers what a download shows."""

    total = 0

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self._done = 0

    def update(self, advance: int) -> None:
        self._done += advance
        self.seen.append((self._done, self.total))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize("name", dataset_names())
def test_a_data_set_arrives_as_parquet(name: str, site: Site, tmp_path: Path) -> None:
    address, pages = site
    pages["/a.zip"] = ARCHIVES[name]
    bar = Bar()
    folder = get(name, tmp_path, url=f"{address}/a.zip", progress=bar)
    assert folder == tmp_path / name
    assert bar.seen[-1] == (len(ARCHIVES[name]), len(ARCHIVES[name]))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert all(pl.read_parquet(f).height for f in folder.glob("*.parquet"))


def test_movielens_100k_has_types(site: Site, tmp_path: Path) -> None:
    address, pages = site
    pages["/a.zip"] = ARCHIVES["movielens-100k"]
    folder = get("movielens-100k", tmp_path, url=f"{address}/a.zip")
    ratings, users, movies = (
        pl.read_parquet(folder / f"{n}.parquet") for n in ("ratings", "users", "movies")
    )
    assert ratings.rows()[0] == (196, 242, 3, 881250949)
    assert users.rows()[1] == (186, 39, "F", "executive", "00000")
    assert movies["video_release_date"].null_count() == 1
    assert movies["Western"].to_list() == [0]
    assert movies.width == 24


def test_movielens_1m_keeps_accents(site: Site, tmp_path: Path) -> None:
    address, pages = site
    pages["/a.zip"] = ARCHIVES["movielens-1m"]
    folder = get("movielens-1m", tmp_path, url=f"{address}/a.zip")
    movies = pl.read_parquet(folder / "movies.parquet")
    assert movies.rows() == [(1193, "Amélie (2001)", "Drama|Comedy")]


def test_adult_joins_both_parts_and_knows_missing_values(site: Site, tmp_path: Path) -> None:
    address, pages = site
    pages["/a.zip"] = ARCHIVES["adult"]
    frame = pl.read_parquet(get("adult", tmp_path, url=f"{address}/a.zip") / "adult.parquet")
    assert frame["income"].to_list() == ["<=50K", ">50K"]
    assert frame["native-country"].to_list() == ["United-States", None]
    assert frame["age"].dtype == pl.Int64


def test_what_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "adult").mkdir()
    assert get("adult", tmp_path, url="http://127.0.0.1:9/never") == tmp_path / "adult"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("/missing", "cannot be downloaded: 404 .*Not Found.*; check the connection"),
        ("/html", "not the expected archive: its SHA-256 checksum is not [0-9a-f]{64}; try again"),
        ("/cut", "cannot be downloaded: IncompleteRead"),
    ],
)
def test_a_bad_answer_is_an_error_and_leaves_nothing(
    site: Site, tmp_path: Path, page: str, words: str
) -> None:
    address, pages = site
    pages["/html"] = b"<html>"
    pages["/cut"] = ARCHIVES["adult"]
    with pytest.raises(DataError, match=words):
        get("adult", tmp_path, url=address + page)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>", "File is not a zip file"),
        (archive({"else.txt": ""}), "no item named 'adult.data'"),
        (archive({"adult.data": "1, 2\n", "adult.test": ""}), "expected 15 fields per line"),
    ],
)
def test_another_archive_is_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    address, pages = site
    pages["/a.zip"] = content
    expect(monkeypatch, "adult", content)
    with pytest.raises(DataError, match=f"is not the expected archive: .*{words}"):
        get("adult", tmp_path, url=f"{address}/a.zip")
    assert list(tmp_path.iterdir()) == []


def test_every_data_set_has_a_checksum(checksums: dict[str, catalog.Dataset]) -> None:
    found = [dataset.sha256 for dataset in checksums.values()]
    assert len(set(found)) == len(dataset_names())
    assert all(len(bytes.fromhex(digest)) == 32 for digest in found)


def test_no_connection_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot be downloaded: \[Errno 111\] Connection refused; "
    ):
        get("adult", tmp_path, url="http://127.0.0.1:9/adult.zip")


def test_only_web_addresses_are_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="starts with https"):
        get("adult", tmp_path, url="file:///etc/passwd")


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(DataError, match="no data set 'movielens'; did you mean 'movielens-"):
        describe("movielens")


def test_broken_movielens_lines_are_refused(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, pages = site
    pages["/a.zip"] = archive({"ml-1m/ratings.dat": "1::2\n"})
    expect(monkeypatch, "movielens-1m", pages["/a.zip"])
    with pytest.raises(DataError, match=r"ratings\.dat: expected 4 fields per line"):
        get("movielens-1m", tmp_path, url=f"{address}/a.zip")
