"""What a training is asked for, checked before any row is read."""

import sys
from pathlib import Path

import polars as pl
import pytest

from crosstower.errors import RecipeError, RunError
from crosstower.fitting.fit import fit
from crosstower.models.registry import MODELS
from crosstower.recipe.blend import Blend
from crosstower.recipe.calibration import Calibration
from crosstower.recipe.recipe import Recipe, parse_recipe
from crosstower.training.run import Run

from .test_fit import quick


def test_baselines_take_over_shared_options(recipe_text: str, folder: Path) -> None:
    recipe = parse_recipe(recipe_text, ["evaluation.baselines=[mlp]"], folder=folder)
    run = quick(recipe, folder / "a")
    assert run.info.models["mlp"] == {"name": "mlp", "embedding_dim": 4, "hidden": [8]}


def test_overrides_go_with_a_file_only(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="overrides only go with a recipe file"):
        quick(recipe, tmp_path / "a", overrides=["training.epochs=1"])


def test_a_wrong_section_is_an_error_before_any_row_is_read(recipe: Recipe, tmp_path: Path) -> None:
    for section, words in (
        ({"calibration": Calibration(tasks={"clik": "platt"})}, "did you mean 'click'"),
        ({"calibration": Calibration(method="platt", by="click")}, "calibration.by: 'click'"),
        ({"blend": Blend(weights={"like": 1})}, "blend.weights: no task 'like'"),
    ):
        with pytest.raises(RecipeError) as error:
            quick(recipe.model_copy(update=section), tmp_path / "a")
        assert words in str(error.value)
        assert not (tmp_path / "a").exists()


OWN = """
from torch import Tensor, nn

from crosstower.recipe.frozen import FrozenModel
from crosstower.models.registry import register_model
from crosstower.nn.inputs import DenseInput, by_head


@register_model("own_linear")
class OwnLinear(nn.Module):
    class Config(FrozenModel):
        pass

    def __init__(self, layout, config) -> None:
        super().__init__()
        self.layout = layout
        self.input = DenseInput(layout, dim=2)
        self.head = nn.Linear(self.input.output_width, len(layout.heads))

    def forward(self, batch) -> dict[str, Tensor]:
        return by_head(self.layout, self.head(self.input(batch.codes, batch.numbers, batch.lists)))
"""


@pytest.mark.filterwarnings("ignore::crosstower.errors.CrosstowerWarning")
def test_a_run_of_ones_own_architecture_names_the_module_to_import(
    recipe_text: str, folder: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "my_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("CROSSTOWER_MODULES", "my_models")
    text = recipe_text.replace("model: {name: wide_deep, embedding_dim: 4, hidden: [8]}", "")
    recipe = parse_recipe(f"{text}\nmodel: own_linear", ["evaluation.baselines=[]"], folder=folder)
    try:
        run = quick(recipe, folder / "a")
        assert run.info.modules == {"own_linear": "my_models"}
        before = run.predict(frame)
        MODELS.entries.pop("own_linear")  # as in a process that has not imported it
        sys.modules.pop("my_models")
        monkeypatch.delenv("CROSSTOWER_MODULES")
        words = r"'own_linear' is not built in; it was registered by 'my_models'.*import my_models"
        with pytest.raises(RunError, match=words):
            Run.open(folder / "a").predict(frame)
        monkeypatch.setenv("CROSSTOWER_MODULES", "my_models")
        assert Run.open(folder / "a").predict(frame).equals(before)
    finally:
        MODELS.entries.pop("own_linear", None)


def test_modules_of_models_that_cannot_be_imported_are_named(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_MODULES", "no_such_module_of_mine")
    with pytest.raises(RecipeError, match="CROSSTOWER_MODULES: cannot import 'no_such_module_of_m"):
        fit(recipe, quiet=True)
