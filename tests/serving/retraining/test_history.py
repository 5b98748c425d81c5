"""The journal as a list of versions: which is live, which was before."""

import shutil
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.retraining.history import History, Version
from crosstower.serving.state.state import State

from .conftest import Journal


def test_before_any_version_the_bundle_of_the_command_line_is_live(journal: Journal) -> None:
    found = journal.history()
    assert found.live == Version(0, journal.base)
    assert found.published() == {}
    with pytest.raises(ServeError, match="version 0 is live, and no version is before it"):
        found.before()


def test_a_state_that_no_server_has_used_serves_the_command_line(state: State, base: Path) -> None:
    assert History.of(state, base).live == Version(0, base)


def test_the_newest_published_version_is_live(journal: Journal) -> None:
    journal.publish(1, 2)
    found = journal.history()
    assert found.live == Version(2, journal.path(2), journal.path(2).parent)
    assert list(found.published()) == [1, 2]
    assert found.before().number == 1


@pytest.mark.parametrize(
    ("steps", "live", "before"),
    [
        ((1,), 1, 0),
        ((1, 2, 3, -2), 2, 1),  # -2: back to 2
        ((1, 2, 3, -2, -1), 1, 0),
        ((1, 2, 3, -2, 4), 4, 2),  # 3 was rolled back: never offered again
        ((1, 2, "withdrawn"), 1, 0),
        ((1, 2, "withdrawn", 3), 3, 1),
        ((1, 2, -1, -2), 2, 1),  # back to an older one, and forth again
        ((1, 2, "base"), 0, None),
        ((1, 2, "base", 3), 3, 0),
    ],
)
def test_the_version_before_is_the_last_good_one(
    journal: Journal, steps: tuple[int | str, ...], live: int, before: int | None
) -> None:
    for step in steps:
        if step == "withdrawn":
            journal.withdraw()
        elif step == "base":
            journal.back_to(0)
        elif isinstance(step, int) and step < 0:
            journal.back_to(-step)
        else:
            journal.publish(int(step))
    assert journal.history().live.number == live
    if before is None:
        with pytest.raises(ServeError, match="no version is before it"):
            journal.before()
    else:
        assert journal.before() == before


def test_removed_versions_are_passed_over(journal: Journal) -> None:
    journal.publish(1, 2, 3)
    shutil.rmtree(journal.path(2))
    assert journal.before() == 1
    with pytest.raises(ServeError, match=r"version 2: unknown.* available: 0, 1, 3"):
        journal.history().numbered(2)


def test_a_bundle_swapped_to_by_its_path_has_no_number(journal: Journal) -> None:
    journal.publish(1)
    journal.state.set_bundle("/by/hand")
    found = journal.history()
    assert found.live == Version(None, Path("/by/hand"))
    with pytest.raises(ServeError, match=r"/by/hand was swapped to by its path.*--to"):
        found.before()


def test_a_version_of_another_bundle_is_refused(journal: Journal) -> None:
    journal.version = "0123456789ab"
    journal.publish(1)
    with pytest.raises(ServeError, match=r"serves version 1 of another bundle.*0123456789ab"):
        journal.history().check_base()


def test_attempts_without_an_end_are_found(journal: Journal) -> None:
    for number, ends in enumerate((["refused"], [], ["failed"], []), start=1):
        for event in ("begun", *ends):
            journal.state.versions.add(event, number, journal.path(number), base=journal.version)
    assert [entry.number for entry in journal.history().unfinished()] == [2, 4]
