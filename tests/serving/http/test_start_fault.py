import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import uvicorn
from fastapi.testclient import TestClient

from crosstower.errors import BundleError, CrosstowerError, ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import BundleManifest, version_of
from crosstower.serving.http.app import create_app
from crosstower.serving.http.server import prepared, serve
from crosstower.serving.http.settings import Settings
from crosstower.serving.http.start_fault import starting
from crosstower.storage.documents import facts_of

from ..bundle.conftest import copy

__all__ = ["copy"]
ENCODER = "ranking/encoder/encoder.json"


@pytest.fixture(autouse=True)
def log() -> Iterator[logging.Logger]:
    """The log of the server as it was."""
    found = logging.getLogger("uvicorn.error")
    filters = list(found.filters)
    yield found
    found.disabled, found.filters = False, filters


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The variables that a server sets for its workers are gone after a test."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def foreign(copy: Path) -> Path:
    """A bundle whose checksums are right and whose encoder is of another format."""
    document = json.loads((copy / ENCODER).read_text())
    (copy / ENCODER).write_text(json.dumps(document | {"format": 999}))
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][ENCODER] = facts_of(copy / ENCODER).model_dump()
    manifest["version"] = version_of(BundleManifest.model_validate(manifest))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def worker(*_: Any, **more: Any) -> None:
    """What a worker does at its start; the end of its process is an exit code."""
    assert more["factory"]
    try:
        with TestClient(create_app()):
            pass
    except CrosstowerError:
        raise SystemExit(3) from None


def test_a_bundle_that_no_worker_can_open_ends_in_words(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: logging.Logger
) -> None:
    monkeypatch.setattr(uvicorn, "run", worker)
    settings = Settings(bundle=foreign, state=tmp_path / "state")
    for _ in range(2):  # nothing of the first time is left
        with prepared(settings), pytest.raises(ServeError, match=r"cannot start.*format 3") as told:
            serve(settings)
        assert "\n" not in str(told.value)
        assert log.disabled  # no traceback in addition
    monkeypatch.setattr(uvicorn, "run", lambda *_, **__: None)
    with prepared(settings):
        serve(settings)


def test_workers_have_time_to_open_a_bundle_before_they_count_as_hung(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(uvicorn, "run", lambda *_, **more: told.update(more))
    settings = Settings(bundle=bundle.folder, state=tmp_path / "state", workers=2)
    with prepared(settings):
        serve(settings)
    assert told["timeout_worker_healthcheck"] >= 20


def test_a_fault_of_ours_keeps_its_traceback(tmp_path: Path, log: logging.Logger) -> None:
    with pytest.raises(ZeroDivisionError), starting(tmp_path):
        raise ZeroDivisionError
    assert not log.disabled
    with pytest.raises(BundleError), starting(tmp_path):
        raise BundleError("broken")
    assert log.disabled
