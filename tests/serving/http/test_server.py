"""What is checked before a worker starts, and kept until the end."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from crosstower.errors import BundleError, ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.http.metrics_folder import VARIABLE
from crosstower.serving.http.server import prepared, temporary_folder
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.address import state_address
from crosstower.serving.state.state import State

from ...fixtures.live_films import LiveFilms


@pytest.fixture
def settings(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv(VARIABLE, "left by another server")
    for scope in ("READ", "WRITE", "ADMIN"):
        monkeypatch.delenv(f"CROSSTOWER_{scope}_TOKEN", raising=False)
    return Settings(bundle=bundle.folder, state=tmp_path / "state")


@pytest.mark.slow
def test_a_second_server_is_refused_until_the_first_ends(
    settings: Settings, bundle: Bundle
) -> None:
    with prepared(settings) as found:
        assert found.version == bundle.version
        with pytest.raises(ServeError), prepared(settings):
            pass
    with prepared(settings):
        pass


def test_the_state_knows_the_bundle_that_is_served(settings: Settings) -> None:
    with prepared(settings), State.open(settings.state) as state:
        assert state.bundle()[1] == settings.bundle


def publish(settings: Settings, path: Path, version: str) -> None:
    with State.open(settings.state) as state:
        state.set_bundle(settings.bundle)
        state.versions.publish(1, path, base=version, detail={}, instead_of=state.bundle())


def chosen(settings: Settings) -> Path:
    with State.open(settings.state) as state:
        found = state.bundle()
    assert found is not None
    return found[1]


def test_a_restart_serves_the_version_that_was_live(
    settings: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    fresh = Path(shutil.copytree(bundle.folder, tmp_path / "0001" / "bundle"))
    publish(settings, fresh, bundle.version)
    for _ in range(2):
        with prepared(settings) as found:
            assert found.folder == fresh
        assert chosen(settings) == fresh
    with State.open(settings.state) as state:  # swapped to by its path: not kept
        state.set_bundle(tmp_path)
    with prepared(settings) as found:
        assert found.folder == fresh
    roll_back_to_base(settings, bundle)
    with prepared(settings) as found:
        assert found.folder == settings.bundle


def roll_back_to_base(settings: Settings, bundle: Bundle) -> None:
    with State.open(settings.state) as state:
        state.versions.add("rolled_back", 0, settings.bundle, base=bundle.version)


def test_another_bundle_of_the_command_line_is_served_itself(
    settings: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    """Versions replace the bundle that they were made from, not one that is given instead."""
    publish(settings, tmp_path / "0001" / "bundle", "of another")
    with prepared(settings) as found:
        assert found.folder == settings.bundle
    assert chosen(settings) == settings.bundle


def test_a_live_version_that_is_gone_stops_the_start(
    settings: Settings, bundle: Bundle, tmp_path: Path
) -> None:
    publish(settings, tmp_path / "0001" / "bundle", bundle.version)
    gone = pytest.raises(BundleError, match=r"version 1, which was live,.*crosstower rollback")
    with gone, prepared(settings):
        pass


@pytest.fixture
def shared(settings: Settings, schema: str) -> Settings:
    """Settings of one of several servers; each gets a temporary folder of its own."""
    return settings.model_copy(update={"state": state_address(schema)})


def replica(settings: Settings) -> Settings:
    return settings.model_copy(update={"temporary": temporary_folder(settings.state)})


def test_several_servers_share_a_schema_and_leave_no_files(shared: Settings) -> None:
    one, two = replica(shared), replica(shared)
    with prepared(one) as first, prepared(two) as second:
        assert first.version == second.version
        assert one.folder.is_dir()
        assert one.folder != two.folder
    assert not one.folder.exists()
    assert not two.folder.exists()


def test_a_server_joins_those_of_the_same_bundle(
    shared: Settings, bundle: Bundle, live_films: LiveFilms, tmp_path: Path
) -> None:
    """A restart does not undo a swap for all; a new bundle on the command line is for all."""
    swapped = Path(shutil.copytree(bundle.folder, tmp_path / "swapped"))
    with prepared(replica(shared)) as found:
        assert found.folder == bundle.folder
    with State.open(shared.state) as state:
        state.set_bundle(swapped)
    with prepared(replica(shared)) as found:
        assert found.folder == swapped
    other = live_films.bundle
    with prepared(replica(shared.model_copy(update={"bundle": other.folder}))) as found:
        assert found.folder == other.folder
    assert chosen(shared) == other.folder


def test_a_bundle_that_the_others_serve_must_be_on_this_machine_too(
    shared: Settings, tmp_path: Path
) -> None:
    with prepared(replica(shared)):
        pass
    with State.open(shared.state) as state:
        state.set_bundle(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="elsewhere"), prepared(replica(shared)):
        pass


def test_a_killed_server_takes_its_files_along(shared: Settings) -> None:
    """Uvicorn raises the signal that stopped it again once it has stopped."""
    one = replica(shared)
    heard = list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with prepared(one):
            signal.raise_signal(signal.SIGTERM)
            assert not one.folder.exists()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_several_workers_share_a_folder_of_metrics(settings: Settings) -> None:
    with prepared(settings):
        assert VARIABLE not in os.environ
    with prepared(settings.model_copy(update={"workers": 2})):
        assert Path(os.environ[VARIABLE]).is_dir()


def test_nothing_is_made_for_a_bundle_that_is_not_there(settings: Settings) -> None:
    wrong = settings.model_copy(update={"bundle": settings.bundle / "none"})
    with pytest.raises(BundleError), prepared(wrong):
        pass
    assert not settings.state.exists()


def test_other_machines_need_tokens(settings: Settings) -> None:
    wide = settings.model_copy(update={"host": "0.0.0.0"})
    with pytest.raises(ServeError, match="no token is set"), prepared(wide):
        pass
