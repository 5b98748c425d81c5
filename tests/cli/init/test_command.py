from pathlib import Path
from typing import Any

import pytest

from crosstower.recipe.csv import Csv
from crosstower.recipe.loading import load_recipe

from ..command_line import Capture, run


def test_init_writes_how_a_csv_file_is_written(here: Path, capsys: Capture) -> None:
    content = "film_id;año;click\n" + "".join(
        f"{i % 9};{1990 + i % 7};{i % 2}\n" for i in range(60)
    )
    (here / "rows.csv").write_bytes(content.replace("1993", "NA").encode("latin-1"))
    code, _, err = run(capsys, "init", "rows.csv", "-o", "mine.yaml")
    assert (code, "set data.csv.encoding" in err) == (3, True)
    options = ["--encoding", "latin-1", "--null-value", "NA"]
    code, *_ = run(capsys, "init", "rows.csv", "-o", "mine.yaml", *options)
    recipe = load_recipe("mine.yaml")
    assert code == 0
    assert recipe.data.csv == Csv(encoding="latin-1", null_values=("NA",))
    assert recipe.schema_.columns["año"].kind in ("numeric", "categorical")


def test_ctrl_c_outside_training_is_no_traceback(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crosstower.data.reading.source_of", stop)
    code, out, err = run(capsys, "init", "rows.parquet")
    assert (code, "Traceback" in out + err) == (130, False)
    assert not Path("recipe.yaml").exists()
