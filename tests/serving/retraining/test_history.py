"""The journal as a list of versions: which is live, which was before."""

import shutil
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.retraining.history import History, Version, roll_back
from crosstower.serving.state.state import State

from .conftest import Named


class Journal:
    """Writes lines as a retraining and a server would."""

    def __init__(self, state: State, base: Path, made: Named) -> None:
        self.state, self.base, self.made = state, base, made
        self.version = read_manifest(base).version
        state.set_bundle(base)

    def path(self, number: int) -> Path:
        return self.base.with_name("versions") / f"{number:04d}" / "bundle"

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            path = self.made(self.path(number))
            self.state.versions.publish(
                number, path, base=self.version, detail={}, instead_of=self.state.bundle()
            )

    def back_to(self, number: int) -> None:
        path = self.path(number) if number else self.base
        self.state.versions.add("rolled_back", number, path, base=self.version)

    def withdraw(self) -> None:
        chosen = self.state.bundle()
        assert chosen is not None
        self.state.versions.withdraw(chosen[0], "damaged", base=self.base)

    def history(self) -> History:
        return History.of(self.state, self.base)

    def before(self) -> int | None:
        return self.history().before().number


@pytest.fixture
def journal(state: State, base: Path, manifest_only: Named) -> Journal:
    return Journal(state, base, manifest_only)


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


def test_a_rollback_makes_the_version_before_live(journal: Journal, bundle: Bundle) -> None:
    journal.made = lambda folder: Path(shutil.copytree(bundle.folder, folder))
    journal.publish(1, 2)
    line = roll_back(journal.state, journal.base)
    assert (line.event, line.number, line.detail["reasons"]) == (
        "rolled_back",
        1,
        ["rolled back from version 2"],
    )
    assert journal.history().live.number == 1
    roll_back(journal.state, journal.base, to=2)
    assert journal.history().live.number == 2


def test_a_rollback_without_a_target_changes_nothing(journal: Journal) -> None:
    journal.publish(1)
    chosen = journal.state.bundle()
    with pytest.raises(ServeError, match="version 1 is live already"):
        roll_back(journal.state, journal.base, to=1)
    with pytest.raises(ServeError, match=r"version 7: unknown.* available: 0, 1"):
        roll_back(journal.state, journal.base, to=7)
    assert journal.state.bundle() == chosen


def test_a_rollback_to_a_damaged_bundle_is_refused(journal: Journal, bundle: Bundle) -> None:
    journal.made = lambda folder: Path(shutil.copytree(bundle.folder, folder))
    journal.publish(1, 2)
    weights = next(journal.path(1).rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(Exception, match="cut short"):
        roll_back(journal.state, journal.base)
    assert journal.history().live.number == 2
