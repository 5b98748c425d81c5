import json
from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting.fit import fit
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


@pytest.fixture
def run(recipe: Recipe, tmp_path: Path) -> Run:
    return fit(recipe, out=tmp_path / "run", quiet=True, seeds=2)


def test_an_unknown_model_or_seed_is_refused(run: Run) -> None:
    with pytest.raises(RunError, match="no model 'wide'; did you mean 'wide_deep'"):
        run.model("wide")
    with pytest.raises(RunError, match="no seed 7; the run has: 0, 1"):
        run.model(seed=7)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run in this folder \(no run\.json\)"):
        Run.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}'])
def test_a_damaged_run_is_refused(run: Run, text: str) -> None:
    (run.folder / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"run\.json: damaged: .*; train again"):
        Run.open(run.folder)


@pytest.mark.parametrize(("form", "age"), [(1, "an older"), (3, "a newer")])
def test_a_run_of_another_format_is_named(run: Run, form: int, age: str) -> None:
    path = run.folder / "run.json"
    plain = json.loads(path.read_text())
    assert plain["format"] == 2
    path.write_text(json.dumps(plain | {"format": form}))
    with pytest.raises(RunError, match=rf"run\.json: written by {age} .*\(format {form}, this"):
        Run.open(run.folder)


def test_a_truncated_checkpoint_is_refused(run: Run) -> None:
    path = run.model_folder("wide_deep", 0) / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(RunError, match="damaged checkpoint"):
        run.model()
