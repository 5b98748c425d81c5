from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import DataError
from crosstower.values.addresses.address import Address, place_of
from crosstower.values.addresses.remote import (
    delete,
    download,
    exists,
    expand,
    file_at,
    files_below,
    fixed_part,
    input_file,
    read_text,
    size_and_change,
    upload,
)

from ...fixtures.object_store import Proxy


def put(address: str, content: bytes, tmp_path: Path) -> Address:
    path, place = tmp_path / "content", place_of(address)
    path.write_bytes(content)
    assert isinstance(place, Address)
    upload(path, place)
    return place


def test_files_are_written_listed_and_read(bucket: str, tmp_path: Path) -> None:
    first = put(f"{bucket}/rows/b.csv", b"x\n1\n", tmp_path)
    put(f"{bucket}/rows/a/day=1/part.csv", b"x\n2\n", tmp_path)
    folder = first.parent
    assert [str(f.address) for f in files_below(folder)] == [
        f"{bucket}/rows/a/day=1/part.csv",
        f"{bucket}/rows/b.csv",
    ]
    assert read_text(first) == "x\n1\n"
    assert (exists(first), exists(folder), exists(folder / "none")) == (True, True, False)
    assert file_at(folder) is None
    assert size_and_change(first) == (4, files_below(folder)[1].changed)
    with pytest.raises(FileNotFoundError, match="no such file"):
        size_and_change(folder)
    assert files_below(folder / "none") == []
    with input_file(first) as file:
        file.seek(2)
        assert file.read() == b"1\n"
    download(first, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"x\n1\n"
    assert size_and_change(tmp_path / "copy") == (4, (tmp_path / "copy").stat().st_mtime_ns)
    delete(first)
    delete(first)
    assert not exists(first)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("rows/*.csv", ["b.csv", "c.csv"]),
        ("rows/**/*.csv", ["a/day=1/p.csv", "b.csv", "c.csv"]),
        ("rows/a/day=?/p.[cp]sv", ["a/day=1/p.csv"]),
        ("rows/[!b].csv", ["c.csv"]),
        ("rows/*.pq", []),
        ("rows/**", ["a/day=1/p.csv", "b.csv", "c.csv"]),
    ],
)
def test_patterns_match_as_glob_does(
    bucket: str, tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for name in ("a/day=1/p.csv", "b.csv", "c.csv"):
        put(f"{bucket}/rows/{name}", b"x", tmp_path)
        local = tmp_path / "rows" / name
        local.parent.mkdir(parents=True, exist_ok=True)
        local.touch()
    address = place_of(f"{bucket}/{pattern}")
    assert isinstance(address, Address)
    start = len(address.bucket) + len("/rows/")
    assert [f.address.path[start:] for f in expand(address)] == found
    here = (tmp_path).glob(pattern if pattern != "rows/**" else "rows/**/*")
    assert sorted(p.relative_to(tmp_path / "rows").as_posix() for p in here if p.is_file()) == found


def test_patterns_need_a_bucket_and_folders() -> None:
    for text in ("s3://buck*/rows", "https://host/rows/*.csv"):
        with pytest.raises(DataError, match="a pattern needs a store"):
            expand(Address(*text.split("://")))
    with pytest.raises(DataError, match="web servers have no folders"):
        files_below(Address("https", "host/rows"))
    assert fixed_part(Address("s3", "b/x/*/y")) == Address("s3", "b/x")


def test_a_cut_connection_is_tried_again(bucket: str, proxy: Proxy, tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    address = put(f"{bucket}/big.bin", content, tmp_path)
    proxy.cut(1, after=300_000)
    with input_file(address) as file:
        assert file.read() == content
    assert proxy.cuts < 0  # it was cut


def test_a_connection_that_stays_broken_is_an_error_and_leaves_nothing(
    bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 4096
    address = put(f"{bucket}/big.bin", content, tmp_path)
    proxy.cut(10**6, after=300_000)
    with pytest.raises(OSError, match="NETWORK_CONNECTION"):
        download(address, tmp_path / "copy")


@pytest.mark.slow
def test_a_broken_upload_leaves_the_earlier_file_or_none(
    bucket: str, proxy: Proxy, tmp_path: Path
) -> None:
    address = put(f"{bucket}/scores.bin", b"earlier", tmp_path)
    path = tmp_path / "new.bin"
    path.write_bytes(bytes(3_000_000))
    proxy.cut(10**6, after=300_000, upstream=True)
    for target in (address, address.parent / "other.bin"):
        with pytest.raises(OSError, match=r"NETWORK_CONNECTION|reset|curl"):
            upload(path, target)
    proxy.cut(0, after=0)
    assert read_text(address) == "earlier"
    assert [f.address.name for f in files_below(address.parent)] == ["scores.bin"]


def test_an_error_within_an_upload_does_not_complete_the_file(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_source: object, sink: Any, *_: object) -> None:
        sink.write(b"12")
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.values.addresses.remote.shutil.copyfileobj", stopped)
    with pytest.raises(KeyboardInterrupt):
        put(f"{bucket}/half.bin", b"1234", tmp_path)
    assert files_below(place_of(bucket)) == []  # type: ignore[arg-type]


def test_web_servers_are_only_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="web servers are only read"):
        upload(tmp_path / "x", Address("https", "host/x"))
