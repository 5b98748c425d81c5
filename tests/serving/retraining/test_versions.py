"""Attempts end as published, refused, failed or interrupted; folders follow the journal."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import ServeError, TrainingError
from crosstower.serving.retraining.figures import GateMeasurements, Verdict
from crosstower.serving.retraining.versions import Versions
from crosstower.serving.state.state import State

from .conftest import Fill

GOOD, BAD = Verdict(figures=GateMeasurements(rows=7)), Verdict(reasons=("worse",))
Open = Callable[..., Versions]


@pytest.fixture
def opened(state: State, base: Path, tmp_path: Path) -> Open:
    def made(**more: Any) -> Versions:
        return Versions.open(tmp_path / "versions", state, base=base, **more)

    return made


def events(state: State) -> list[tuple[int, str]]:
    return [(entry.number, entry.event) for entry in state.versions.entries()]


def folders(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "versions").iterdir())


def make(versions: Versions, fill: Fill, verdict: Verdict = GOOD) -> bool:
    with versions.attempt() as attempt:
        fill(attempt)
        return attempt.finish(verdict, {"rows": 12})


def test_a_good_version_is_published(
    opened: Open, fill: Fill, state: State, tmp_path: Path, base: Path
) -> None:
    with opened() as versions:
        assert versions.live().number == 0
        assert make(versions, fill)
        live = versions.live()
    assert live.number == 1
    assert state.bundle() == (1, live.bundle)
    assert live.folder == tmp_path / "versions" / "0001"
    line = state.versions.entries()[-1]
    assert line.detail["facts"] == {"rows": 12}
    manifest = json.loads((base / "manifest.json").read_text())
    assert line.detail["version"] == manifest["version"]
    assert json.loads((live.folder / "gate.json").read_bytes()) == line.detail


def test_a_refused_version_leaves_its_reasons_only(
    opened: Open, fill: Fill, state: State, tmp_path: Path
) -> None:
    with opened() as versions:
        assert not make(versions, fill, BAD)
        assert versions.live().number == 0
    assert events(state) == [(1, "begun"), (1, "refused")]
    assert state.versions.entries()[-1].detail["reasons"] == ["worse"]
    assert folders(tmp_path) == []
    assert state.bundle() is None


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (TrainingError("the loss is NaN"), "failed", "the loss is NaN"),
        (KeyboardInterrupt(), "interrupted", "stopped before it finished"),
        (ValueError(), "failed", "ValueError"),
    ],
)
def test_an_error_ends_an_attempt(
    opened: Open,
    fill: Fill,
    state: State,
    tmp_path: Path,
    *,
    error: BaseException,
    event: str,
    reason: str,
) -> None:
    def failing(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)
            raise error

    with opened() as versions, pytest.raises(type(error)):
        failing(versions)
    assert events(state) == [(1, "begun"), (1, event)]
    assert state.versions.entries()[-1].detail["reasons"] == [reason]
    assert folders(tmp_path) == []


def test_a_full_disk_leaves_the_live_version_and_no_litter(
    opened: Open, fill: Fill, state: State, tmp_path: Path
) -> None:
    def full(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)
            raise OSError(errno.ENOSPC, "No space left on device", str(attempt.folder / "weights"))

    with opened() as versions:
        make(versions, fill)
        with pytest.raises(ServeError, match=r"version 2 was not created: .*/weights: No space"):
            full(versions)
        assert versions.live().number == 1
        assert folders(tmp_path) == ["0001"]
        make(versions, fill)
        assert versions.live().number == 3


def test_a_disk_that_is_too_full_for_the_journal_is_cleaned_at_the_next_opening(
    opened: Open, fill: Fill, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ServeError("the disk is full")

    def failing(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)
            monkeypatch.setattr("crosstower.serving.state.version_log.VersionLog.add", refuse)
            raise TrainingError("no room")

    with opened() as versions, pytest.raises(TrainingError):
        failing(versions)
    monkeypatch.undo()
    assert events(state) == [(1, "begun")]
    with opened():
        assert events(state) == [(1, "begun"), (1, "interrupted")]
        assert folders(tmp_path) == []


def test_an_attempt_needs_a_verdict(opened: Open, fill: Fill, state: State, tmp_path: Path) -> None:
    def unfinished(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)

    with opened() as versions, pytest.raises(ServeError, match="without a verdict"):
        unfinished(versions)
    assert events(state)[-1] == (1, "failed")
    assert folders(tmp_path) == []


def test_an_error_after_the_publication_keeps_the_version(
    opened: Open, fill: Fill, state: State, tmp_path: Path
) -> None:
    def failing(versions: Versions) -> None:
        with versions.attempt() as attempt:
            fill(attempt)
            attempt.finish(GOOD)
            raise KeyboardInterrupt

    with opened() as versions, pytest.raises(KeyboardInterrupt):
        failing(versions)
    assert events(state) == [(1, "begun"), (1, "published")]
    assert folders(tmp_path) == ["0001"]


def test_a_bundle_swapped_to_meanwhile_is_not_replaced(
    opened: Open, fill: Fill, state: State, tmp_path: Path
) -> None:
    with opened() as versions, versions.attempt() as attempt:
        fill(attempt)
        state.set_bundle("/by/hand")
        assert not attempt.finish(GOOD)
    assert state.bundle() == (1, Path("/by/hand"))
    assert events(state) == [(1, "begun"), (1, "refused")]
    assert "another bundle went live" in attempt.reasons[0]
    assert state.versions.entries()[-1].detail["reasons"] == [*attempt.reasons]
    assert folders(tmp_path) == []


def test_old_versions_are_removed_but_not_the_live_one_nor_the_one_before(
    opened: Open, fill: Fill, state: State, tmp_path: Path, base: Path
) -> None:
    with opened(keep=2) as versions:
        for _ in range(4):
            make(versions, fill)
        assert folders(tmp_path) == ["0003", "0004"]
        path = tmp_path / "versions" / "0003" / "bundle"
        version = versions.history().base_version
        state.versions.add("rolled_back", 3, path, base=version)  # 4 is bad
        make(versions, fill)  # 5, with 3 before it
        assert folders(tmp_path) == ["0003", "0004", "0005"]
        make(versions, fill)
        assert folders(tmp_path) == ["0005", "0006"]
    with pytest.raises(ServeError, match="keep: expected at least 2"):
        opened(keep=1)


def test_a_second_retraining_is_refused(opened: Open, base: Path, tmp_path: Path) -> None:
    used = pytest.raises(ServeError, match="another retraining uses this state")
    with opened(), State.open(tmp_path / "state") as second, used:
        Versions.open(tmp_path / "elsewhere", second, base=base)
    with opened():
        pass


def test_folders_of_other_states_are_left_alone(
    opened: Open, fill: Fill, tmp_path: Path, base: Path
) -> None:
    (tmp_path / "versions" / "0007").mkdir(parents=True)
    with opened() as versions:
        make(versions, fill)
        assert versions.live().number == 8
        assert folders(tmp_path) == ["0007", "0008"]


def test_a_folder_that_another_state_has_just_made_is_not_removed(
    opened: Open, fill: Fill, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "versions" / "0001").mkdir(parents=True)
    monkeypatch.setattr(Versions, "_next_number", lambda self: 1)
    with opened() as versions:
        with pytest.raises(ServeError, match=r"version 1 was not created: .*File exists"):
            make(versions, fill)
        assert folders(tmp_path) == ["0001"]
    assert events(state) == [(1, "begun"), (1, "failed")]
    with opened():
        assert folders(tmp_path) == ["0001"]


def test_what_a_killed_process_left_is_removed(
    opened: Open, state: State, tmp_path: Path, base: Path
) -> None:
    with opened() as versions:
        version = versions.history().base_version
    place = tmp_path / "versions"
    for number, ends in enumerate(([], ["refused"], ["interrupted"]), start=1):
        (place / f"{number:04d}" / "bundle").mkdir(parents=True)
        for event in ("begun", *ends):
            path = place / f"{number:04d}" / "bundle"
            state.versions.add(event, number, path, base=version)
    (place / ".0004").mkdir()
    with opened():
        assert folders(tmp_path) == []
    assert events(state)[-1] == (1, "interrupted")
