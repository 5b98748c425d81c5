"""The folder of a new run: where it lies, and what it holds before the first step."""

from pathlib import Path

import pytest

from crosstower.errors import RunError
from crosstower.fitting import fit as fitting
from crosstower.fitting.fit import fit
from crosstower.fitting.new_run import folder_of, refuse_existing
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run


def test_the_folder_is_the_one_given_or_that_of_the_run(tmp_path: Path) -> None:
    assert folder_of("recipe.yaml", tmp_path / "out", resume=False) == tmp_path / "out"
    assert folder_of("recipe.yaml", None, resume=False) is None
    assert folder_of(object(), None, resume=False) is None
    assert folder_of(tmp_path, None, resume=True) == tmp_path


def test_a_folder_is_a_recipe_only_where_its_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a folder, expected a recipe file"):
        folder_of(tmp_path, None, resume=False)
    with pytest.raises(RunError, match="no such run"):
        folder_of(tmp_path / "none", None, resume=True)


def test_a_folder_is_no_number() -> None:
    with pytest.raises(RunError, match=r"out: expected .*the folder of the new run"):
        folder_of("recipe.yaml", 7, resume=False)


def test_an_existing_folder_is_refused_with_the_way_on(recipe: Recipe, tmp_path: Path) -> None:
    refuse_existing(tmp_path / "new")
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunError, match=r"remove it$"):
        refuse_existing(tmp_path / "mine")

    run = fit(recipe, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="or go on with: "):
        refuse_existing(run.folder)


def test_a_run_is_complete_before_its_first_step(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut in the first step leaves a run that can be opened and go on."""
    made = fitting.create_run

    def cut(*arguments: object, **options: object) -> Run:
        made(*arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "create_run", cut)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, out=tmp_path / "run", seeds=2, quiet=True)
    run = Run.open(tmp_path / "run")
    assert run.recipe == recipe
    assert run.info.seeds == (0, 1)
    assert list(run.info.models) == ["wide_deep", "logistic_regression"]
    assert "torch" in run.info.environment
    assert run.encoder.layout.codes
    assert sorted(p.name for p in tmp_path.glob("run*")) == ["run"]
