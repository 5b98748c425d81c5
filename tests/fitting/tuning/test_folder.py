from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting.tuning.default_space import default_space
from crosstower.fitting.tuning.folder import (
    SEARCH,
    alone_in,
    begin_folder,
    open_folder,
    refuse_another,
)
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe

TEXT = "schema: {columns: {user: categorical}, tasks: {click: binary}}\ntune: {trials: 3}"


def begun(folder: Path) -> Recipe:
    recipe = parse_recipe(TEXT)
    space = default_space(recipe)
    begin_folder(folder, recipe, space, monitor=("click.auc", True), prepared=True)
    return recipe


def test_a_folder_is_opened_as_it_was_begun(tmp_path: Path) -> None:
    recipe = begun(tmp_path / "tune")
    again, search = open_folder(tmp_path / "tune")
    assert again == recipe
    assert search.space == default_space(recipe)
    assert (search.monitor, search.higher, search.prepared) == ("click.auc", True, True)


def test_only_the_number_of_trials_may_differ(tmp_path: Path) -> None:
    before = begun(tmp_path / "tune")
    refuse_another(tmp_path, before, parse_recipe(TEXT, ["tune.trials=9"]))
    others = ["tune.seed=1", "training.epochs=2", "model.dropout=0.3", "data.seed=3"]
    with pytest.raises(RunError, match=r"tune.seed: 0, now 1; data.seed: None, .* and 1 more\)"):
        refuse_another(tmp_path, before, parse_recipe(TEXT, others))


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    begun(tmp_path / "tune")
    (tmp_path / "tune" / SEARCH).write_text("{")
    with pytest.raises(RunError, match=r"damaged: .*; tune again"):
        open_folder(tmp_path / "tune")


def test_one_command_at_a_time(tmp_path: Path) -> None:
    words = "another command is running"
    with alone_in(tmp_path), pytest.raises(RunError, match=words), alone_in(tmp_path):
        pass
    with alone_in(tmp_path):
        pass
