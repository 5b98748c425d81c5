import os
from pathlib import Path

import pytest

from crosstower.fitting.tuning import trial_run
from crosstower.fitting.tuning.default_space import default_space
from crosstower.fitting.tuning.folder import begin_folder
from crosstower.fitting.tuning.worker import main
from crosstower.fitting.tuning.workers import fault_path
from crosstower.recipe.loading import load_recipe

from ...fixtures.tuned import tuned_folder


def begun(folder: Path) -> Path:
    recipe = load_recipe(tuned_folder(folder) / "small.yaml")
    space = default_space(recipe)
    place = folder / "tune"
    begin_folder(place, recipe, space, monitor=("click.log_loss", False), prepared=False)
    return place


def test_a_worker_runs_trials_until_there_are_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = begun(tmp_path)
    assert main([str(place), "2", str(os.getppid())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["trial 0", "trial 1"]
    assert main([str(place), "2", str(os.getppid())]) == 0


def test_wrong_rows_are_left_for_the_process_that_leads(tmp_path: Path) -> None:
    place = begun(tmp_path)
    (tmp_path / "rows.parquet").write_bytes(b"no rows")
    assert main([str(place), "2", str(os.getppid())]) == 3
    assert "rows.parquet" in fault_path(place, os.getpid()).read_text()


def test_ctrl_c_has_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_given: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_run.OneTraining, "train", stopped)
    assert main([str(begun(tmp_path)), "2", str(os.getppid())]) == 130
