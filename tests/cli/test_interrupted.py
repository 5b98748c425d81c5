"""Ctrl-C in a command of several trainings: nothing stays, and an error keeps what there is."""

from pathlib import Path

import pytest

from crosstower.cli.interrupted import removed_when_interrupted
from crosstower.errors import DataError
from crosstower.training.trainer import TrainingInterruptedError


@pytest.mark.parametrize(
    "stop", [KeyboardInterrupt(), TrainingInterruptedError("stopped; resume with: fit --resume a")]
)
def test_ctrl_c_removes_the_folders_and_offers_nothing_to_resume(
    stop: BaseException, folder: Path
) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "half").touch()
    with pytest.raises(KeyboardInterrupt), removed_when_interrupted(folder / "a", folder / "b"):
        raise stop
    assert not (folder / "a").exists()


def test_an_error_keeps_the_runs(folder: Path) -> None:
    (folder / "a").mkdir()
    with pytest.raises(DataError), removed_when_interrupted(folder / "a"):
        raise DataError("row 3")
    assert (folder / "a").exists()
