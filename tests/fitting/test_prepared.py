"""Trainings on prepared rows are those on the rows themselves."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.torch import load_file

from crosstower.errors import DataError, RecipeError, RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.prepared import prepare, prepared_for
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.training.run import Run

from ..fixtures.counted_rows import RECIPE as COUNTED
from ..fixtures.counted_rows import write_counted
from ..fixtures.films import recipe as film_recipe
from ..fixtures.films import search_recipe

pytestmark = pytest.mark.slow


def changed(text: str, folder: Path, *overrides: str) -> Recipe:
    return parse_recipe(text, list(overrides), folder=folder)


def assert_same_run(one: Run, other: Run) -> None:
    """The weights, predictions, statistics and files of two runs are equal, bit by bit."""
    names = [
        {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
        for run in (one, other)
    ]
    assert names[0] == names[1]
    for name in sorted(names[0]):
        first, second = one.folder / name, other.folder / name
        if name.endswith(".safetensors"):
            left, right = load_file(first), load_file(second)
            assert left.keys() == right.keys()
            same = (left[k].numpy().tobytes() == right[k].numpy().tobytes() for k in left)
            assert all(same), name  # NaN equals NaN
        elif name.endswith(".parquet"):
            assert pl.read_parquet(first).equals(pl.read_parquet(second), null_equal=True), name
        elif name.startswith("encoder"):
            assert first.read_bytes() == second.read_bytes(), name
    assert one.info.facts == other.info.facts
    for kind in ("tasks", "retrieval"):
        assert one.metrics.get(kind) == other.metrics.get(kind)


@pytest.fixture
def stored(recipe: Recipe, folder: Path) -> Path:
    return prepare(recipe, folder / "rows.prepared", quiet=True).folder


def test_a_ranker_learns_the_same_from_prepared_rows(
    recipe: Recipe, stored: Path, folder: Path
) -> None:
    plain = fit(recipe, out=folder / "plain", quiet=True)
    (folder / "rows.parquet").unlink()  # nothing of it is read again
    assert_same_run(plain, fit(recipe, out=folder / "run", prepared=stored, quiet=True))
    resumed = fit(plain.folder, resume=True, prepared=stored, quiet=True)
    assert resumed.metrics["tasks"] == plain.metrics["tasks"]


def test_rows_beyond_the_memory_are_shuffled_alike(
    recipe_text: str, frame: pl.DataFrame, folder: Path
) -> None:
    for part in range(40):
        name = folder / "many" / f"part-{part:02d}.parquet"
        name.parent.mkdir(exist_ok=True)
        frame.write_parquet(name)
    given = ("data.path=many", "data.memory_mb=1", "training.epochs=1", "training.refit=true")
    small = changed(recipe_text, folder, *given)
    stored = prepare(small, folder / "rows.prepared", quiet=True).folder
    assert not list(folder.glob(".*"))  # rows on disk are removed
    before = sorted(stored.rglob("*"))
    plain = fit(small, out=folder / "plain", quiet=True)
    assert_same_run(plain, fit(small, out=folder / "run", prepared=stored, quiet=True))
    assert sorted(stored.rglob("*")) == before


def test_a_folder_that_daft_wrote_gives_the_same_run(
    recipe: Recipe, recipe_text: str, folder: Path
) -> None:
    pieces = changed(recipe_text, folder, "data.engine=daft")
    stored = prepare(pieces, folder / "rows.prepared", quiet=True).folder
    assert (stored / "train" / "000000-000000.safetensors").is_file()
    plain = fit(recipe, out=folder / "plain", quiet=True)
    assert_same_run(plain, fit(recipe, out=folder / "run", prepared=stored, quiet=True))
    assert_same_run(plain, fit(pieces, out=folder / "daft", quiet=True))
    assert not list(folder.glob(".*"))


def test_a_ranker_with_counters_learns_the_same(tmp_path: Path) -> None:
    write_counted(tmp_path)
    counted = changed(COUNTED, tmp_path)
    stored = prepare(counted, tmp_path / "rows.prepared", quiet=True).folder
    plain = fit(counted, out=tmp_path / "plain", quiet=True)
    assert_same_run(plain, fit(counted, out=tmp_path / "run", prepared=stored, quiet=True))


@pytest.mark.parametrize("refit", [False, True])
def test_a_retriever_learns_the_same_from_prepared_rows(tmp_path: Path, refit: bool) -> None:
    films = film_recipe(tmp_path, training={"epochs": 1, "refit": refit})
    stored = prepare(films, tmp_path / "rows.prepared", quiet=True).folder
    plain = fit(films, out=tmp_path / "plain", quiet=True)
    (tmp_path / "rows.parquet").unlink()
    assert_same_run(plain, fit(films, out=tmp_path / "run", prepared=stored, quiet=True))


def test_a_search_without_users_learns_the_same(tmp_path: Path) -> None:
    search = search_recipe(tmp_path)
    search = search.model_copy(
        update={"training": search.training.model_copy(update={"epochs": 1})}
    )
    stored = prepare(search, tmp_path / "rows.prepared", quiet=True).folder
    plain = fit(search, out=tmp_path / "plain", quiet=True)
    assert_same_run(plain, fit(search, out=tmp_path / "run", prepared=stored, quiet=True))


def test_models_and_widths_may_differ_between_trainings(
    recipe_text: str, stored: Path, folder: Path
) -> None:
    options = (
        "model.name=dcn_v2",
        "model.hidden=[4]",
        "schema.columns.genre={kind: categorical, dim: 3}",
        "schema.tasks.click={kind: binary, weight: 2}",
        "evaluation.slices=[]",
        "evaluation.baselines=[]",
        "training.epochs=1",
    )
    other = changed(recipe_text, folder, *options)
    plain = fit(other, out=folder / "plain", quiet=True)
    assert_same_run(plain, fit(other, out=folder / "run", prepared=stored, quiet=True))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("schema.columns.genre={kind: categorical, min_count: 2}", r"schema\.columns\.genre: \{.*"),
        ("schema.columns.more={kind: numeric, source: age}", r"schema\.columns\.more: None, now"),
        ("schema.tasks.watch_time=regression", r"schema\.tasks\.watch_time: .*now"),
        ("data.split={kind: random, seed: 3}", r"data\.split: .*'seed': 0.*now.*'seed': 3"),
        ("data.path=other.parquet", r"data\.path: .*rows\.parquet', now .*other\.parquet"),
        ("evaluation.slices=[age]", "no column 'age' for evaluation"),
        (
            "schema.tasks.click={kind: binary, class_weight: balanced}",
            r"schema\.tasks\.click\.class_weight: now balanced",
        ),
    ],
)
def test_rows_of_another_recipe_are_refused_by_name(
    recipe_text: str, stored: Path, folder: Path, override: str, words: str
) -> None:
    with pytest.raises(RunError, match=rf"prepared for another recipe \({words}.*prepare"):
        prepared_for(stored, changed(recipe_text, folder, override))


def test_the_order_of_columns_matters(recipe: Recipe, stored: Path) -> None:
    columns = dict(reversed(recipe.schema_.columns.items()))
    schema = recipe.schema_.model_copy(update={"columns": columns})
    with pytest.raises(RunError, match="the order of columns or tasks"):
        prepared_for(stored, recipe.model_copy(update={"schema_": schema}))


def test_the_columns_of_the_towers_matter(tmp_path: Path) -> None:
    films = film_recipe(tmp_path)
    stored = prepare(films, tmp_path / "rows.prepared", quiet=True).folder
    other = films.model_copy(update={"model": {**films.model, "item": ["film"]}})
    with pytest.raises(RunError, match=r"model\.item: \['film', 'genre'\], now \['film'\]"):
        prepared_for(stored, other)
    live = {"history": {"column": "had", "events": ["click"]}}  # of a server, not of the rows
    prepared_for(stored, film_recipe(tmp_path, retrieval=live))


def test_a_folder_is_written_whole_and_never_replaced(
    recipe: Recipe, recipe_text: str, stored: Path, folder: Path
) -> None:
    with pytest.raises(RunError, match="already exists; remove it, or choose"):
        prepare(recipe, stored, quiet=True)
    before = set(folder.iterdir())
    wrong = changed(recipe_text, folder, "schema.tasks.click={kind: binary, threshold: 2}")
    with pytest.raises(DataError, match=r"all .* labels of the train split are 0"):
        prepare(wrong, folder / "wrong", quiet=True)
    assert set(folder.iterdir()) == before


def test_prepared_rows_replace_data_and_have_their_own_encoder(
    recipe: Recipe, stored: Path, frame: pl.DataFrame, folder: Path
) -> None:
    with pytest.raises(RecipeError, match="already holds the rows; drop data"):
        fit(recipe, data=frame, prepared=stored, out=folder / "a", quiet=True)
    with pytest.raises(RecipeError, match=r"drop prepared .* or warm_start"):
        fit(recipe, warm_start=folder, prepared=stored, out=folder / "a", quiet=True)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "prepared.json").unlink(), "no prepared rows .*crosstower prepare"),
        (lambda f: (f / "train" / "000000.safetensors").unlink(), "000000.safetensors: missing"),
        (lambda f: (f / "fingerprints.parquet").write_bytes(b"x"), "fingerprints.*cut short"),
        (lambda f: _cut(f / "valid" / "000000.safetensors"), r"bytes of .*prepare the rows again"),
    ],
)
def test_an_incomplete_folder_is_refused(
    recipe: Recipe, stored: Path, damage: Any, words: str
) -> None:
    damage(stored)
    with pytest.raises(RunError, match=words):
        prepared_for(stored, recipe)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def test_a_shard_that_was_changed_is_refused(recipe: Recipe, stored: Path, folder: Path) -> None:
    path = stored / "train" / "000000.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"train/000000\.safetensors: damaged: its checksum"):
        fit(recipe, out=folder / "run", prepared=stored, quiet=True)
    assert not (folder / "run").exists()


def test_the_manifest_names_every_file(stored: Path) -> None:
    manifest = json.loads((stored / "prepared.json").read_bytes())
    shards = [f"{n}/{s['file']}" for n, found in manifest["shards"].items() for s in found]
    files = {str(p.relative_to(stored)) for p in stored.rglob("*") if p.is_file()}
    assert files == {*manifest["files"], *shards, "prepared.json"}


def test_rows_are_prepared_at_an_address(recipe: Recipe, folder: Path, bucket: str) -> None:
    place = f"{bucket}/rows.prepared"
    prepare(recipe, place, quiet=True)
    with pytest.raises(RunError, match=r"rows\.prepared: already exists"):
        prepare(recipe, place, quiet=True)
    plain = fit(recipe, out=folder / "plain", quiet=True)
    assert_same_run(plain, fit(recipe, out=folder / "run", prepared=place, quiet=True))
    with pytest.raises(RunError, match=r"elsewhere: holds no prepared\.json"):
        prepared_for(f"{bucket}/elsewhere", recipe)
