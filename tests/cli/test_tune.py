import json
from pathlib import Path

import pytest

from crosstower.recipe.yaml_reader import read_yaml

from ..fixtures.tuned import tuned_folder
from .command_line import Capture, run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tuned_folder(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_recipe_is_tuned_and_its_page_named(here: Path, capsys: Capture) -> None:
    code, out, progress = run(capsys, "tune", "small.yaml", "--trials", "2", "--out", "t")
    assert code == 0
    assert "trial 1: " in progress
    assert "recipe: t/tuned.yaml" in out
    assert "page: t/tune.html" in out
    assert (here / "t/tune.html").is_file()
    code, out, _ = run(capsys, "tune", "small.yaml", "--trials", "2", "--out", "t", "--json")
    plain = json.loads(out)
    assert len(plain["trials"]) == 2
    assert plain["winner"]["tasks"]["click"]["mlp"]["auc"]["mean"] > 0.5
    assert plain["recipe"]["model"]["name"] == "mlp"


def test_the_default_space_is_shown_as_a_section(here: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "tune", "small.yaml", "--show-space", "-o", "tune=null")
    assert code == 0
    space = read_yaml(out)["tune"]["space"]
    assert space["model.hidden"][0] == [8]
    assert space["training.learning_rate"] == {"low": 1e-05, "high": 0.001, "log": True}
    text = (here / "small.yaml").read_text().partition("tune:")[0]
    (here / "own.yaml").write_text(text + out)
    assert run(capsys, "tune", "own.yaml", "--show-space") == (0, out, "")
    assert not (here / "runs").exists()
    towers = "model={name: two_tower, item: [genre]}"  # two options with the same choices
    code, out, _ = run(
        capsys, "tune", "small.yaml", "--show-space", "-o", "tune=null", "-o", towers
    )
    assert code == 0
    assert "query_hidden" in out
    assert "item_hidden" in out
    assert not set("&*") & set(out)


def test_a_wrong_space_is_one_message(here: Path, capsys: Capture) -> None:
    code, _, shown = run(capsys, "tune", "small.yaml", "-o", "tune.space={model.depth: [1]}")
    assert code == 2
    assert "crosstower: tune.space.model.depth: 1 is rejected: " in shown
