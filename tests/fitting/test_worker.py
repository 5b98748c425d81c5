import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import pytest

from crosstower.errors import CrosstowerError, DataError, RecipeError
from crosstower.fitting.worker import (
    Fault,
    announce,
    fault_in,
    is_launched,
    leave,
    raised_again,
    restarts,
    worker_main,
)
from crosstower.retrieval.data.positive_rows import NoPositivesError


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the error file of rank 1, as torch's elastic agent places it."""
    path = tmp_path / "attempt_0" / "1" / "error.json"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(path))
    monkeypatch.setenv("RANK", "1")
    return path


def fail_with(error: Exception) -> None:
    def command() -> None:
        raise error

    worker_main(command)


def test_a_process_of_its_own_leaves_nothing(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK")
    with pytest.raises(DataError):
        fail_with(DataError("a.csv: empty"))
    assert not attempt.exists()


def test_torchrun_gets_the_message_and_the_error_goes_on(attempt: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: empty"):
        fail_with(DataError("a.csv: empty"))
    plain = json.loads(attempt.read_bytes())
    assert plain["message"]["message"] == "DataError: a.csv: empty"
    fault = fault_in(plain)
    assert fault is not None
    assert fault.is_final
    again = raised_again(fault)
    assert (type(again), str(again)) == (DataError, "a.csv: empty")


def test_a_launcher_shows_errors_in_place_of_the_process(
    attempt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_LAUNCHED", str(tmp_path))
    assert is_launched()
    with pytest.raises(SystemExit) as stop:
        fail_with(RecipeError("model.name: unknown"))
    assert stop.value.code == RecipeError.exit_code
    with pytest.raises(SystemExit) as stop:
        fail_with(ValueError("a bug"))
    assert stop.value.code == 1
    fault = fault_in(json.loads(attempt.read_bytes()))
    assert fault is not None
    assert "ValueError: a bug" in fault.trace
    assert not fault.is_final
    announce()
    assert (tmp_path / "1").read_text() == str(os.getpid())


def test_a_restart_by_torchrun_does_not_repeat_a_final_error(
    attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError):
        fail_with(DataError("a.csv: empty"))
    later = attempt.parents[2] / "attempt_1" / "0" / "error.json"
    later.parent.mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(later))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert restarts() == 1
    done = list[int]()
    with pytest.raises(DataError, match=r"a\.csv: empty"):
        worker_main(lambda: done.append(1))
    assert not done
    attempt.unlink()
    worker_main(lambda: done.append(1))
    assert done == [1]


def test_an_error_whose_class_is_not_imported_here_is_one_of_its_base() -> None:
    class EmptyPartError(DataError):
        pass

    fault = Fault("EmptyPartError", "no rows", "", 0.0, ("DataError", "CrosstowerError"))
    assert type(raised_again(fault)) is EmptyPartError
    far = replace(fault, kind="ErrorOfElsewhere")
    assert (type(raised_again(far)), str(raised_again(far))) == (DataError, "no rows")
    bug = Fault("ValueError", "a bug", "trace", 0.0, ("Exception",))
    assert (type(raised_again(bug)), str(raised_again(bug))) == (
        CrosstowerError,
        "ValueError: a bug",
    )


def test_the_launcher_ends_with_the_code_of_an_error_that_it_has_not_imported(
    attempt: Path,
) -> None:
    leave(NoPositivesError("no row is a positive"))
    program = (
        "import json, sys; from pathlib import Path;"
        "from crosstower.fitting.worker import fault_in, raised_again;"
        "fault = fault_in(json.loads(Path(sys.argv[1]).read_text()));"
        "sys.exit(raised_again(fault).exit_code)"
    )
    done = run([sys.executable, "-c", program, attempt], check=False)
    assert done.returncode == DataError.exit_code
