"""Versions at an address: whole or not at all, whatever happens between two steps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstower.errors import DataError, ServeError, TrainingError
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.history import History
from crosstower.serving.retraining.retrain import retrain
from crosstower.serving.retraining.rollback import roll_back
from crosstower.serving.retraining.version_folders import (
    existing,
    local_version,
    names_in,
    prepare,
    remove,
    versions_folder,
)
from crosstower.serving.retraining.versions import Attempt, Versions
from crosstower.serving.state.state import State
from crosstower.storage import folders
from crosstower.storage.folders import origin_of
from crosstower.training.run import Run
from crosstower.values.addresses.address import Address, address_of, place_of
from crosstower.values.addresses.remote import RemoteFile, delete, files_below, upload

from ...fixtures.live_films import LiveFilms
from .conftest import Fill
from .films_log import filled_state, film_events, films_plan, without_exports
from .test_versions import BAD, GOOD

Open = Callable[..., Versions]
Make = Callable[[Versions], Attempt]


@pytest.fixture
def folder(bucket: str) -> Address:
    found = address_of(f"{bucket}/shop/versions")
    assert found is not None
    return found


@pytest.fixture
def opened(state: State, base: Path, folder: Address) -> Open:
    def made(**more: int) -> Versions:
        return Versions.open(folder, state, base=base, **more)

    return made


@pytest.fixture
def make(fill: Fill) -> Make:
    def made(versions: Versions) -> Attempt:
        with versions.attempt() as attempt:
            fill(attempt)
            attempt.finish(GOOD, {"rows": 12})
        return attempt

    return made


def files(folder: Address) -> list[str]:
    return [str(file.address).removeprefix(f"{folder}/") for file in files_below(folder)]


def work(tmp_path: Path) -> list[str]:
    """Files of attempts in the making that are left on this machine."""
    return [f"{p}" for p in (tmp_path / "cache" / "versions").glob("*/0*/**/*") if p.is_file()]


def test_a_version_is_uploaded_and_served(
    opened: Open, make: Make, state: State, folder: Address, tmp_path: Path
) -> None:
    with opened() as versions:
        attempt = make(versions)
        live = versions.live()
    assert files(folder) == [
        f"0001/{n}" for n in ("bundle/manifest.json", "gate.json", "rows.parquet")
    ]
    assert attempt.place == folder / "0001"
    assert state.bundle() == (1, live.bundle)
    assert place_of(live.bundle) == folder / "0001" / "bundle"
    assert live.folder is not None
    assert (local_version(live.folder) / "rows.parquet").read_bytes() == b"rows"
    assert work(tmp_path) == []


def test_a_refused_or_failed_version_is_never_uploaded(
    opened: Open, fill: Fill, folder: Address, tmp_path: Path
) -> None:
    def failing(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)
            raise TrainingError("the loss is NaN")

    with opened() as versions:
        with versions.attempt() as attempt:
            fill(attempt)
            run = attempt.folder / "ranking"
            assert origin_of(run) == run  # so a training does not upload it
            assert not attempt.finish(BAD)
        with pytest.raises(TrainingError):
            failing(versions)
        assert versions.live().number == 0
    assert (files(folder), work(tmp_path)) == ([], [])


def test_a_failed_upload_leaves_the_live_version(
    opened: Open, make: Make, state: State, folder: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, address: Address) -> None:
        if path.name == "gate.json":
            raise OSError("connection reset")
        upload(path, address)

    with opened() as versions:
        make(versions)
        monkeypatch.setattr("crosstower.storage.folders.upload", broken)
        with pytest.raises(ServeError, match="0002: cannot be uploaded: connection reset"):
            make(versions)
        assert versions.live().number == 1
    assert {name[:4] for name in files(folder)} == {"0001"}
    assert [(e.number, e.event) for e in state.versions.entries()][-1] == (2, "failed")


def test_what_a_killed_process_has_uploaded_is_removed(
    opened: Open, fill: Fill, state: State, folder: Address, tmp_path: Path
) -> None:
    with opened() as versions:
        attempt = Attempt(versions, 1, None)
        versions.note("begun", attempt)
        attempt.make_folder()
        fill(attempt)
        for name in ("bundle/manifest.json", "rows.parquet"):  # before gate.json
            upload(attempt.folder / name, attempt.place / name)
    assert work(tmp_path) != []
    with opened() as versions:
        assert versions.live().number == 0
    assert (files(folder), work(tmp_path)) == ([], [])
    assert [e.event for e in state.versions.entries()] == ["begun", "interrupted"]


def test_old_versions_are_removed_also_after_a_kill(
    opened: Open, make: Make, folder: Address
) -> None:
    with opened(keep=2) as versions:
        for _ in range(3):
            make(versions)
        assert {name[:4] for name in files(folder)} == {"0002", "0003"}
        delete(folder / "0002" / "bundle" / "manifest.json")  # a removal that was cut short
        assert list(versions.history().published()) == [3]
    with opened(keep=2):
        assert {name[:4] for name in files(folder)} == {"0003"}


def test_a_store_that_fails_after_the_publication_does_not_fail_it(
    opened: Open,
    make: Make,
    fill: Fill,
    folder: Address,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(address: Address) -> list[RemoteFile]:
        if address == folder:  # of all versions
            raise OSError("connection reset")
        return files_below(address)

    with opened(keep=2) as versions:
        make(versions)
        make(versions)
        with monkeypatch.context() as patched, versions.attempt() as attempt:
            fill(attempt)
            patched.setattr(folders, "files_below", unreachable)
            assert attempt.finish(GOOD)
            with pytest.raises(ServeError, match="versions: cannot be listed: connection reset"):
                versions.history().published()
        assert versions.live().number == 3
    assert {name[:4] for name in files(folder)} == {"0001", "0002", "0003"}


def test_folders_of_others_are_left_alone(
    opened: Open, make: Make, folder: Address, base: Path
) -> None:
    upload(base / "manifest.json", folder / "0007" / "notes.json")
    with opened() as versions:
        assert make(versions).number == 8
    assert "0007/notes.json" in files(folder)


def test_an_earlier_version_is_served_again(
    opened: Open, make: Make, state: State, bundle: Bundle, folder: Address
) -> None:
    with opened() as versions:
        make(versions)
    line = roll_back(state, bundle.folder)
    assert (line.number, state.bundle()) == (0, (2, bundle.folder))
    remove(folder / "0001")
    with pytest.raises(ServeError, match="version 1: unknown, or already removed; available: 0"):
        History.of(state, bundle.folder).numbered(1)


def test_an_address_that_cannot_be_used_is_refused_at_once(bucket: str, base: Path) -> None:
    gone = Address("s3", "no-such-bucket-here/versions")
    with pytest.raises(ServeError, match="no-such-bucket-here/versions: cannot be written"):
        prepare(gone)
    with pytest.raises(DataError, match="web servers are only read"):
        prepare(Address("https", "shop.example/versions"))
    assert names_in(gone) == set()
    assert existing([Path(f"{bucket}/versions/0001/bundle"), base]) == {base}


def test_versions_are_beside_the_bundle() -> None:
    assert versions_folder(Path("/data/bundle")) == Path("/data/bundle.versions")
    address = Address("s3", "shop/bundles/films")
    assert str(versions_folder(address)) == "s3://shop/bundles/films.versions"


@pytest.mark.slow
def test_films_are_retrained_at_an_address(
    bucket: str, live_films: LiveFilms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_exports(monkeypatch)
    base = place_of(f"{bucket}/films")
    for path in live_films.bundle.folder.rglob("*"):
        if path.is_file():
            upload(path, base / str(path.relative_to(live_films.bundle.folder)))  # type: ignore[arg-type]
    plan = films_plan(live_films.retrieval, live_films.ranking)
    filled_state(tmp_path / "state", film_events(0, 600))
    strict = plan.model_copy(update={"gate": plan.gate.model_copy(update={"min_rows": 10_000})})
    refused = retrain(base, tmp_path / "state", plan=strict)
    assert (refused.outcome, files(address_of(f"{base}.versions"))) == ("refused", [])  # type: ignore[arg-type]
    first = retrain(base, tmp_path / "state", plan=plan)
    with State.open(tmp_path / "state") as state:
        state.add_events(film_events(600, 300, seed=1))
    (tmp_path / "cache").rename(tmp_path / "other")  # another machine, without any copy
    second = retrain(Path(str(base)), tmp_path / "state", plan=plan)
    assert [(r.outcome, r.number) for r in (first, second)] == [("published", 2), ("published", 3)]
    assert second.rows == 300 + 600 // 5
    live = f"{bucket}/films.versions/0003"
    assert json.loads((local_version(Path(live)) / "gate.json").read_text())["reasons"] == []
    assert "0002" in str(Run.open(f"{live}/ranking").info.warm_start)
    assert len(Bundle.open(f"{live}/bundle").retriever().items)
    with State.open(tmp_path / "state") as state:
        assert roll_back(state, Path(str(base))).number == 2
