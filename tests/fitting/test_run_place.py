import shutil
from pathlib import Path
from typing import Any

import pytest

from crosstower.errors import DataError, RunError, TrainingError
from crosstower.fitting.fit import fit
from crosstower.fitting.run_place import new_place, place_of_run, refuse_existing
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run
from crosstower.values.addresses.address import Address

from ..conftest import rows
from ..fixtures.object_store import Proxy


def test_the_folder_is_the_one_given_or_that_of_the_run(tmp_path: Path) -> None:
    assert place_of_run("recipe.yaml", tmp_path / "out", resume=False) == tmp_path / "out"
    assert place_of_run("recipe.yaml", None, resume=False) is None
    assert place_of_run(object(), None, resume=False) is None
    assert place_of_run(tmp_path, None, resume=True) == tmp_path


def test_a_folder_is_a_recipe_only_where_its_run_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a folder, expected a recipe file"):
        place_of_run(tmp_path, None, resume=False)
    with pytest.raises(RunError, match="no such run"):
        place_of_run(tmp_path / "none", None, resume=True)


def test_a_folder_is_no_number() -> None:
    with pytest.raises(RunError, match=r"out: expected .*the folder of the new run"):
        place_of_run("recipe.yaml", 7, resume=False)


def test_an_existing_folder_is_refused_with_the_way_on(recipe: Recipe, tmp_path: Path) -> None:
    refuse_existing(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/run: cannot be created: .* is a file"):
        refuse_existing(tmp_path / "file" / "run")
    (tmp_path / "mine").mkdir()
    with pytest.raises(RunError, match=r"remove it$"):
        refuse_existing(tmp_path / "mine")

    run = fit(recipe, out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="replace it with --overwrite, or continue with: "):
        refuse_existing(run.folder)


@pytest.mark.slow
def test_only_a_run_is_overwritten(recipe: Recipe, tmp_path: Path) -> None:
    run = fit(short(recipe), out=tmp_path / "run", quiet=True)
    with pytest.raises(RunError, match="already exists"):
        fit(short(recipe), out=run.folder, quiet=True)
    (run.folder / "note").touch()
    wrong = recipe.model_copy(update={"data": recipe.data.at(str(tmp_path / "none.parquet"))})
    with pytest.raises(DataError, match="no such file"):
        fit(wrong, out=run.folder, overwrite=True, quiet=True)
    assert (run.folder / "note").exists()  # an error removes nothing
    again = fit(short(recipe), out=run.folder, overwrite=True, quiet=True)
    assert again.metrics["tasks"] == run.metrics["tasks"]
    assert not (run.folder / "note").exists()

    (tmp_path / "mine").mkdir()
    with pytest.raises(RunError, match="overwrite replaces only runs, and it holds none"):
        refuse_existing(tmp_path / "mine", overwrite=True)
    for options, words in (
        ({"resume": True}, "not allowed with resume"),
        ({"warm_start": run}, "would remove the run that the new one starts from"),
        ({"out": "s3://bucket/run"}, "at an address"),
    ):
        given: dict[str, Any] = {"out": run.folder, "overwrite": True, "quiet": True} | options
        with pytest.raises(RunError, match=words):
            fit(short(recipe), **given)


def test_a_file_called_run_json_does_not_make_a_run(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.json").write_text('{"command": "mine"}')
    with pytest.raises(RunError, match=r"remove it$"):
        fit(short(recipe), out=folder, quiet=True)
    with pytest.raises(RunError, match="overwrite replaces only runs, and it holds none"):
        fit(short(recipe), out=folder, overwrite=True, quiet=True)
    assert (folder / "run.json").exists()


def test_overwriting_removes_nothing_but_the_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(short(recipe), out=tmp_path / "run", quiet=True)

    def refused(words: str, recipe: Recipe = recipe, folder: Path = run.folder) -> None:
        with pytest.raises(RunError, match=words):
            refuse_existing(folder, overwrite=True, recipe=recipe)

    refuse_existing(run.folder, overwrite=True, recipe=recipe)
    rows = run.folder / "rows.parquet"
    inside = recipe.model_copy(update={"data": recipe.data.at(str(rows))})
    refused(r"would remove .*rows\.parquet, which the recipe reads", inside)
    (tmp_path / "link").symlink_to(run.folder)
    refused("replaces no symbolic link; give the folder .*run itself", folder=tmp_path / "link")
    with monkeypatch.context() as there:
        there.chdir(run.folder)
        refused("would remove the current working directory", folder=Path())
    shutil.copytree(run.folder, tmp_path / "child")
    (tmp_path / "child").rename(run.folder / "models" / "child")
    refused("would remove another run in it, .*child")


def test_a_recipe_made_in_python_is_trained_in_a_temporary_folder(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = fit(short(recipe), quiet=True)
    assert (run.folder.parent.parent, run.folder.name) == (tmp_path, "small")
    assert run.folder != fit(short(recipe), quiet=True).folder


def test_a_recipe_file_and_several_processes_have_a_folder_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert new_place("feed", temporary=False) == Path("runs/feed")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert new_place("feed", temporary=True) == Path("runs/feed")


def short(recipe: Recipe) -> Recipe:
    return recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update={"epochs": 1}),
            "evaluation": recipe.evaluation.model_copy(update={"baselines": ()}),
        }
    )


@pytest.mark.slow
def test_a_run_at_an_address_is_the_run_of_a_folder(
    bucket: str, recipe: Recipe, tmp_path: Path
) -> None:
    here = fit(short(recipe), out=tmp_path / "run", quiet=True)
    there = fit(short(recipe), out=f"{bucket}/runs/first", quiet=True)
    assert there.place == Address("s3", f"{bucket[5:]}/runs/first")
    assert there.metrics["tasks"] == here.metrics["tasks"]
    assert not list((tmp_path / "cache" / "work").glob("*/first"))
    opened = Run.open(f"{bucket}/runs/first")
    assert opened.folder == there.folder  # not copied again
    new = rows(50, seed=9)
    assert opened.predict(new).equals(here.predict(new))
    with pytest.raises(RunError, match=r"runs/first: already exists \(s3://.*\) and is never over"):
        fit(short(recipe), out=f"{bucket}/runs/first", quiet=True)
    with pytest.raises(RunError, match=r"no unfinished training.*start another one from it with"):
        fit(f"{bucket}/runs/first", resume=True, quiet=True)


@pytest.mark.slow
def test_an_interrupted_upload_is_no_run_and_resuming_completes_it(
    proxy: Proxy, bucket: str, recipe: Recipe
) -> None:
    address = f"{bucket}/runs/first"
    proxy.cut(10**6, after=20_000, upstream=True)  # small files arrive, weights do not
    with pytest.raises(RunError, match=r"cannot be uploaded.*crosstower fit --resume s3://") as one:
        fit(short(recipe), out=address, quiet=True)
    proxy.cut(0, after=0)
    with pytest.raises(RunError, match=r"runs/first: holds no run\.json"):
        Run.open(address)
    run = fit(address, resume=True, quiet=True)
    assert str(run.place) == address
    assert "in " in str(one.value)


def test_an_interrupted_training_goes_on_where_it_was(
    bucket: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{bucket}/runs/first"

    def stopped(*_: object, **__: object) -> None:
        raise TrainingError("the disk is full; continue with: crosstower fit --resume RUN")

    with monkeypatch.context() as patch:
        patch.setattr("crosstower.fitting.fit._train", stopped)
        with pytest.raises(TrainingError, match=f"crosstower fit --resume {address}$"):
            fit(short(recipe), out=address, quiet=True)
    with pytest.raises(RunError, match=f"or continue with: crosstower fit --resume {address}"):
        fit(short(recipe), out=address, quiet=True)
    assert str(fit(address, resume=True, quiet=True).place) == address


def test_a_store_that_cannot_be_reached_is_named_before_any_training(
    bucket: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("crosstower.values.addresses.filesystems.ATTEMPTS", 1)
    with pytest.raises(RunError, match=f"{bucket}/runs/first: cannot be listed"):
        fit(recipe, out=f"{bucket}/runs/first", quiet=True)
