"""The journal of versions: lines and choices of a bundle are stored together."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.state.state import State
from crosstower.serving.state.version_log import VersionLog

BASE, FIRST, SECOND = Path("/base"), Path("/v/0001/bundle"), Path("/v/0002/bundle")


@pytest.fixture
def state(home: str) -> Iterator[State]:
    with State.open(home) as opened:
        yield opened


@pytest.fixture
def log(state: State) -> VersionLog:
    return state.versions


def publish(state: State, number: int, path: Path) -> None:
    made = state.versions.publish(
        number, path, base="abc", detail={"rows": number}, instead_of=state.bundle()
    )
    assert made is not None


def test_lines_are_read_back_in_order(log: VersionLog) -> None:
    before = datetime.now(UTC)
    log.add("begun", 1, FIRST, base="abc")
    log.add("refused", 1, FIRST, base="abc", detail={"reasons": ["worse"]})
    found = log.entries()
    assert [(e.sequence, e.number, e.event, e.path) for e in found] == [
        (1, 1, "begun", FIRST),
        (2, 1, "refused", FIRST),
    ]
    assert found[1].detail == {"reasons": ["worse"]}
    assert timedelta() <= found[0].time - before < timedelta(minutes=1)
    assert all(e.choice is None and e.live is None for e in found)


def test_a_published_version_is_chosen_in_the_same_transaction(
    state: State, log: VersionLog
) -> None:
    state.set_bundle(BASE)
    log.add("begun", 1, FIRST, base="abc")
    assert state.bundle() == (1, BASE)
    publish(state, 1, FIRST)
    line = log.entries()[-1]
    assert state.bundle() == (line.choice, FIRST)
    assert line.live == 1


def test_nothing_is_stored_if_another_bundle_was_chosen_meanwhile(state: State) -> None:
    compared = state.bundle()
    state.set_bundle(BASE)
    found = state.versions.publish(1, FIRST, base="abc", detail={}, instead_of=compared)
    assert found is None
    assert state.versions.entries() == []
    assert state.bundle() == (1, BASE)


def test_a_withdrawn_version_gives_way_to_the_one_before(state: State, log: VersionLog) -> None:
    state.set_bundle(BASE)
    publish(state, 1, FIRST)
    publish(state, 2, SECOND)
    choice = log.entries()[-1].choice
    line = log.withdraw(choice or 0, "damaged", base=BASE)
    assert line is not None
    assert (line.number, line.live, line.path) == (2, 1, FIRST)
    assert line == log.entries()[-1]
    assert state.bundle() == (line.choice, FIRST)
    # A second worker that fails at the same version, and one that fails at version 1 now.
    assert log.withdraw(choice or 0, "damaged", base=BASE) is None
    assert log.withdraw(line.choice or 0, "damaged", base=BASE) is None
    assert state.bundle() == (line.choice, FIRST)


def test_the_bundle_of_the_command_line_is_number_0(state: State, log: VersionLog) -> None:
    state.set_bundle(BASE)
    publish(state, 1, FIRST)
    assert log.number_of(BASE, base=BASE) == 0
    assert log.number_of(FIRST, base=BASE) == 1
    assert log.number_of(SECOND, base=BASE) is None
    line = log.withdraw(log.entries()[-1].choice or 0, "damaged", base=BASE)
    assert line is not None
    assert line.live == 0


def test_a_swap_by_path_has_no_number_to_return_to(state: State, log: VersionLog) -> None:
    state.set_bundle("/by/hand")
    publish(state, 1, FIRST)
    line = log.withdraw(log.entries()[-1].choice or 0, "damaged", base=BASE)
    assert line is not None
    assert (line.live, line.path) == (None, Path("/by/hand"))
    assert log.number_of(Path("/by/hand"), base=BASE) is None


def test_the_last_choice_is_that_of_one_base(state: State, log: VersionLog) -> None:
    publish(state, 1, FIRST)
    log.add("begun", 2, SECOND, base="abc")
    log.add("rolled_back", 0, BASE, base="other")
    assert log.last_choice("other") == log.entries()[-1]
    assert log.last_choice("abc") == log.entries()[0]
    assert log.last_choice("unknown") is None


def test_a_damaged_line_is_named(state: State, log: VersionLog) -> None:
    log.add("begun", 1, FIRST, base="abc")
    with state.database.writing() as connection:
        connection.execute("UPDATE versions SET detail = '['")
    with pytest.raises(ServeError, match="line 1 of the journal of versions is damaged"):
        log.entries()


def test_a_state_from_before_the_journal_gets_one(home: str) -> None:
    with State.open(home) as old, old.database.writing() as connection:
        connection.execute("DROP TABLE versions")
    with State.open(home) as state:
        assert state.versions.entries() == []
