"""What is checked before a worker starts, and kept until the end."""

import os
from pathlib import Path

import pytest

from crosstower.errors import BundleError, ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.http.metrics_folder import VARIABLE
from crosstower.serving.http.server import prepared
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.state import State


@pytest.fixture
def settings(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv(VARIABLE, "left by another server")
    for scope in ("READ", "WRITE", "ADMIN"):
        monkeypatch.delenv(f"CROSSTOWER_{scope}_TOKEN", raising=False)
    return Settings(bundle=bundle.folder, state=tmp_path / "state")


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
