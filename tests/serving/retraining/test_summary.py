"""Versions as readers see them."""

import shutil
from pathlib import Path

import pytest

from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.retraining.history import History
from crosstower.serving.retraining.summary import VersionsSummary, summarise
from crosstower.serving.retraining.versions import Versions
from crosstower.serving.state.state import State

from .conftest import Named
from .test_versions import BAD, GOOD, Verdict


@pytest.fixture
def made(state: State, base: Path, manifest_only: Named, tmp_path: Path) -> Versions:
    """Version 1 published, 2 refused, 3 published, 4 running."""
    versions = Versions.open(tmp_path / "versions", state, base=base)
    verdicts: list[Verdict] = [GOOD, BAD, GOOD]
    for verdict in verdicts:
        with versions.attempt() as attempt:
            manifest_only(attempt.bundle)
            attempt.finish(verdict, {"rows": 12})
    state.versions.add("begun", 4, tmp_path / "4", base=versions.history().base_version)
    return versions


def summary(state: State, base: Path) -> VersionsSummary:
    return summarise(History.of(state, base))


def test_the_newest_come_first(made: Versions, state: State, base: Path) -> None:
    found = summary(state, base)
    assert [(v.number, v.verdict, v.live, v.available) for v in found.versions] == [
        (4, "running", False, False),
        (3, "published", True, True),
        (2, "refused", False, False),
        (1, "published", False, True),
        (0, "base", False, True),
    ]
    assert found.live == 3
    assert found.since == found.versions[1].ended
    assert found.versions[2].reasons == ["worse"]
    assert found.versions[1].rows == 12
    assert found.versions[1].figures["rows"] == 7
    assert found.versions[1].version == found.base == read_manifest(base).version
    assert [(line.event, line.number) for line in found.journal][:3] == [
        ("begun", 4),
        ("published", 3),
        ("begun", 3),
    ]


def test_withdrawn_and_removed_versions_are_told(made: Versions, state: State, base: Path) -> None:
    chosen = state.bundle()
    assert chosen is not None
    state.versions.withdraw(chosen[0], "damaged", base=base)
    shutil.rmtree(made.folder / "0001")
    found = summary(state, base)
    third, first = found.versions[1], found.versions[3]
    assert (third.verdict, third.live, third.reasons) == ("withdrawn", False, ["damaged"])
    assert third.figures["rows"] == 7
    assert (first.verdict, first.live, first.available) == ("published", True, False)


def test_without_versions_the_bundle_of_the_command_line_is_live(state: State, base: Path) -> None:
    found = summary(state, base)
    assert (found.live, found.since, found.journal) == (0, None, [])
    assert [(v.number, v.verdict, v.live) for v in found.versions] == [(0, "base", True)]


def test_a_bundle_swapped_to_by_its_path_has_no_number(
    made: Versions, state: State, base: Path
) -> None:
    state.set_bundle("/by/hand")
    found = summary(state, base)
    assert (found.live, found.since) == (None, None)
    assert not any(v.live for v in found.versions)
