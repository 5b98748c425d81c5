from importlib import util

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.recipe.loading import parse_recipe
from crosstower.training.trackers import tracker
from crosstower.training.trackers.tracker import check_installed

from ...fixtures.tracked import TRACKED


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = util.find_spec
    monkeypatch.setattr(tracker, "find_spec", lambda name: None if name == "wandb" else real(name))
    check_installed(["mlflow", "tensorboard"])
    with pytest.raises(RecipeError, match=r"wandb needs .* pip install 'crosstower\[wandb\]'"):
        check_recipe(parse_recipe(TRACKED, ["training.trackers=[wandb]"]))


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(RecipeError, match="expected 'mlflow', 'tensorboard'"):
        parse_recipe(TRACKED, ["training.trackers=[mlfow]"])
