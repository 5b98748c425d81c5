"""Serve an earlier version again."""

import shutil
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.bundle import Bundle
from crosstower.serving.retraining.rollback import roll_back

from .conftest import Journal


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
