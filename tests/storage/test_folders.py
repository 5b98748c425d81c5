from pathlib import Path

import pytest

from crosstower.errors import BundleError, RunError
from crosstower.storage import folders
from crosstower.storage.folders import (
    local_folder,
    origin_of,
    publish_changes,
    publishing,
    refuse_existing,
)
from crosstower.values.addresses.address import Address, place_of
from crosstower.values.addresses.remote import files_below, read_text, upload

from ..fixtures.object_store import Proxy

FILES = {"run.json": "{}", "models/a/weights": "w" * 1000, "encoder/x": "x"}


def fill(folder: Path, files: dict[str, str] = FILES) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    found = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_text() for p in found}


@pytest.fixture
def address(bucket: str) -> Address:
    place = place_of(f"{bucket}/runs/first")
    assert isinstance(place, Address)
    return place


@pytest.fixture
def published(address: Address) -> Address:
    with publishing(address, "run.json", error=RunError) as folder:
        fill(folder)
    return address


def opened(address: Address) -> Path:
    return local_folder(address, "run.json", error=RunError)


def test_a_path_stays_as_it_is(tmp_path: Path) -> None:
    assert local_folder(tmp_path, "run.json", error=RunError) == tmp_path
    with publishing(tmp_path / "new", "run.json", error=RunError) as folder:
        fill(folder)
        assert not (tmp_path / "new").exists()
    assert contents(tmp_path / "new") == FILES
    assert origin_of(tmp_path / "new") == tmp_path / "new"
    publish_changes(tmp_path / "new", error=RunError)
    with (
        pytest.raises(BundleError, match="new: already exists; remove it"),
        publishing(tmp_path / "new", "run.json", error=BundleError),
    ):
        pass


def test_what_is_published_is_read_back(published: Address, tmp_path: Path) -> None:
    folder = opened(published)
    assert contents(folder) == FILES
    assert folder.name == "first"
    assert origin_of(folder) == published
    assert origin_of(folder / "encoder" / "x") == published / "encoder" / "x"
    assert not list((tmp_path / "cache").glob("work/*/first"))
    with pytest.raises(RunError, match=r"first: already exists \(s3://.*/first/encoder/x\)"):
        refuse_existing(published, error=RunError)


def test_a_copy_is_made_once(published: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = opened(published)

    def fail(*_: object) -> None:
        raise AssertionError("downloaded again")

    monkeypatch.setattr(folders, "download", fail)
    assert opened(published) == folder


def test_a_changed_address_has_another_copy_that_shares_what_is_equal(
    published: Address, tmp_path: Path
) -> None:
    folder = opened(published)
    (tmp_path / "x").write_text("another x")
    upload(tmp_path / "x", published / "encoder/x")
    newer = opened(published)
    assert contents(folder) == FILES  # a process may read it
    assert contents(newer) == FILES | {"encoder/x": "another x"}
    inodes = [(f / "models/a/weights").stat().st_ino for f in (folder, newer)]
    assert inodes[0] == inodes[1]


def test_a_damaged_copy_is_repaired(published: Address) -> None:
    folder = opened(published)
    (folder / "models/a/weights").write_text("cut")
    (folder / "encoder/x").unlink()
    (folder / "stray").touch()
    assert contents(opened(published)) == FILES


def test_changes_of_a_copy_are_published(published: Address, tmp_path: Path) -> None:
    folder = opened(published)
    fill(folder, {"report.html": "page", "encoder/x": "changed"})
    (folder / "models/a/weights").unlink()
    publish_changes(folder, error=RunError)
    now = {"run.json": "{}", "report.html": "page", "encoder/x": "changed"}
    assert contents(opened(published)) == now
    start = len(published.path) + 1
    assert {f.address.path[start:] for f in files_below(published)} == set(now)
    publish_changes(folder, error=RunError)


def test_without_the_last_file_nothing_is_valid(address: Address, proxy: Proxy) -> None:
    proxy.cut(10**6, after=100_000, upstream=True)
    with (
        pytest.raises(RunError, match=r"first: cannot be uploaded: .*NETWORK_CONNECTION"),
        publishing(address, "run.json", error=RunError) as folder,
    ):
        fill(folder, FILES | {"models/a/weights": "w" * 1_000_000})
    proxy.cut(0, after=0)
    with pytest.raises(RunError, match=r"first: holds no run\.json; check the address, or repeat"):
        opened(address)


def test_an_error_within_publishes_nothing(address: Address) -> None:
    def broken() -> None:
        with publishing(address, "run.json", error=RunError) as folder:
            fill(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert files_below(address) == []


def test_a_broken_download_is_an_error_and_the_next_one_goes_on(
    address: Address, proxy: Proxy
) -> None:
    many = FILES | {"models/a/weights": "w" * 1_000_000}
    with publishing(address, "run.json", error=RunError) as folder:
        fill(folder, many)
    for copy in folders.cache_folder().glob("folders/*/*/first/models/a/weights"):
        copy.unlink()
    proxy.cut(10**6, after=100_000)
    with pytest.raises(RunError, match=r"first: cannot be copied to .*NETWORK_CONNECTION"):
        opened(address)
    proxy.cut(0, after=0)
    assert contents(opened(address)) == many
    assert read_text(address / "run.json") == "{}"
