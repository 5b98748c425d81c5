import subprocess
import sys
from pathlib import Path

import pytest

from crosstower.errors import ServeError
from crosstower.serving.http.metrics_folder import fresh_metrics_folder


def test_files_of_an_earlier_start_are_removed(tmp_path: Path) -> None:
    folder = fresh_metrics_folder(tmp_path / "state")
    assert folder == tmp_path / "state" / "metrics"
    (folder / "counter_1.db").write_text("old")
    (folder / "notes.txt").write_text("mine")
    assert fresh_metrics_folder(tmp_path / "state") == folder
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("")
    with pytest.raises(ServeError, match="metrics: cannot be emptied: File exists"):
        fresh_metrics_folder(tmp_path)


def test_it_does_not_load_the_library_that_looks_at_the_variable() -> None:
    module = "crosstower.serving.http.metrics_folder"
    check = f"import {module}, sys; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
