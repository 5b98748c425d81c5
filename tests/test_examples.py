"""Every recipe in examples/ is read; those whose data is at hand are trained, for an epoch.

Recipes of simulated worlds are small and are trained to the end.

CROSSTOWER_DATA names the folder of the data sets, as `crosstower data get NAME --out` fills it;
`data` beside the examples and `shared/data` beside the project are looked at as well.
"""

import os
from pathlib import Path

import pytest

from crosstower.fitting import fit
from crosstower.recipe import load_recipe
from crosstower.yaml_text import read_yaml

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "examples").glob("*.yaml"))


def data_folder() -> Path | None:
    places = [os.environ.get("CROSSTOWER_DATA"), ROOT / "data", ROOT.parent / "shared" / "data"]
    return next((Path(p) for p in places if p and Path(p).is_dir()), None)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_an_example_is_a_valid_recipe(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_an_example_trains_on_its_data(path: Path, tmp_path: Path) -> None:
    folder = data_folder()
    plain = read_yaml(path.read_text())["data"]
    if not plain["path"].startswith("world:"):
        if folder is None or not (folder / Path(plain["path"]).parent.name).is_dir():
            pytest.skip(f"{plain['path']}: not at hand; set CROSSTOWER_DATA to its folder")
        text = path.read_text().replace("../data/", f"{folder}/")
        path = tmp_path / path.name
        path.write_text(text)
    world = plain["path"].startswith("world:")
    overrides = [] if world else ["training.epochs=1"]
    run = fit(path, overrides=overrides, out=tmp_path / "run", quiet=True)
    task, models = next(iter(run.metrics["tasks"].items()))
    assert models[run.recipe.model["name"]]["auc"]["mean"] > (0.95 if world else 0.6), task
