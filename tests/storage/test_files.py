import errno
import os
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.storage.files import (
    beside,
    new_folder,
    refuse_missing_folder,
    refuse_other_format,
    refuse_unwritable,
    replacing,
    same_file,
    sync_folder,
    write_atomic,
)
from crosstower.values.addresses.address import place_of
from crosstower.values.addresses.remote import exists, read_text


def test_the_content_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.json", b"one")
    write_atomic(tmp_path / "a.json", b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.json", b"two")]


def test_a_failure_leaves_the_file_before(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"one")

    def fail() -> None:
        with replacing(path) as aside:
            aside.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.json", b"one")]


def test_others_may_read_the_file_as_usual(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    write_atomic(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_a_folder_appears_when_all_is_in(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with new_folder(tmp_path / "a" / "b") as aside:
        (aside / "file").write_text("in")
        assert not (tmp_path / "a" / "b").exists()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b" / "file").read_text() == "in"
    assert (tmp_path / "a" / "b").stat().st_mode == plain.stat().st_mode


def test_a_failure_leaves_no_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "a") as aside:
            (aside / "file").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_given_a_second_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no hard links here")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"first")
    other.write_bytes(b"old")
    same_file(one, other)
    assert other.read_bytes() == b"first"
    write_atomic(one, b"second")
    assert other.read_bytes() == b"first"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "other"]


def test_a_folder_is_synced_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("in")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    sync_folder(tmp_path / "a")
    wanted = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "file"]
    assert sorted(synced) == sorted(path.stat().st_ino for path in wanted)


def test_a_file_at_an_address_appears_whole(bucket: str, tmp_path: Path) -> None:
    place = place_of(f"{bucket}/scores.bin")

    def broken() -> None:
        with replacing(place) as aside:
            aside.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert not exists(place)
    write_atomic(place, b"first")
    with replacing(place) as aside:
        aside.write_bytes(b"second")
        assert read_text(place) == "first"
    assert read_text(place) == "second"
    assert list((tmp_path / "cache" / "uploads").iterdir()) == []


def test_a_new_folder_needs_a_writable_folder_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unwritable(tmp_path / "a" / "b", error=RunError)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/run: cannot be created: .*file is a file"):
        refuse_unwritable(tmp_path / "file" / "run", error=RunError)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(RunError, match=r"a/run: cannot be created: .* not writable"):
        refuse_unwritable(tmp_path / "a" / "run", error=RunError)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_new_file_needs_its_folder(tmp_path: Path) -> None:
    refuse_missing_folder(tmp_path / "rows.parquet", error=RunError)
    for folder in (tmp_path / "none", tmp_path / "file"):
        (tmp_path / "file").touch()
        with pytest.raises(RunError, match=f"no folder {folder}; create it, or choose another"):
            refuse_missing_folder(folder / "rows.parquet", error=RunError)


def test_a_parquet_file_has_no_suffix_of_another_format() -> None:
    for name in ("rows.parquet", "rows", "rows.2026-01", "s3://bucket/rows.pq"):
        refuse_other_format(place_of(name), error=RunError)
    for name in ("rows.csv", "rows.CSV", "rows.parquet.gz", "s3://bucket/rows.csv"):
        with pytest.raises(RunError, match=r"output is Parquet; give it .* such as rows\.parquet$"):
            refuse_other_format(place_of(name), error=RunError)


def test_a_path_beside_the_folder_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "bundle"
    (bundle / "index").mkdir(parents=True)
    assert beside(bundle, ".state") == tmp_path / "bundle.state"
    monkeypatch.chdir(bundle)
    assert beside(Path(), ".state") == tmp_path / "bundle.state"
    assert beside(Path("index/.."), ".state") == tmp_path / "bundle.state"
