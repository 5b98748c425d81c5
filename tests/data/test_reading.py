"""Rows that come divided give what the same rows give with a column that divides them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosstower.blending.blend_run import blend_run
from crosstower.data.held_out import held_out_columns
from crosstower.data.reading import GivenRows, PartsSource, parts_of, training_source, undivided
from crosstower.data.sources.source import SPLIT_COLUMN, FilteredSource, FrameSource
from crosstower.errors import CrosstowerWarning, DataError, RecipeError, RunError
from crosstower.fitting.fit import fit
from crosstower.fitting.off_policy.evaluate import evaluate_policy
from crosstower.recipe.data import Data, Join
from crosstower.recipe.loading import load_recipe, parse_recipe
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.split import GivenSplit
from crosstower.training.run import Run
from crosstower.training.trainer import Trainer

from ..conftest import RECIPE, rows

SPLIT = ["train", "valid", "test"]
QUICK = ["training.epochs=2", "evaluation.baselines=[]"]


def divided(count: int = 900) -> dict[str, pl.DataFrame]:
    """Return frames by split, of rows with a user that training never sees."""
    frame = rows(count).with_columns(split=pl.Series(np.array(SPLIT)[np.arange(count) % 5 // 2]))
    unseen = pl.when(pl.col("split") == "test").then(99).otherwise("user_id")
    frame = frame.with_columns(unseen.alias("user_id"))
    return {name: frame.filter(split=name) for name in SPLIT}


def write(folder: Path, parts: dict[str, pl.DataFrame], suffix: str = "parquet") -> dict[str, Any]:
    """Write parts as files; return the `data` section that names them."""
    section: dict[str, Any] = {}
    for key, name in zip(("path", "valid", "test"), SPLIT, strict=True):
        section[key] = f"{name}.{suffix}"
        parts[name].write_parquet(folder / section[key])
    return section


def recipe_of(folder: Path, data: dict[str, Any], text: str = RECIPE) -> Path:
    lines = [line for line in text.splitlines() if not line.startswith("data:")]
    path = folder / "small.yaml"
    words = ", ".join(f"{key}: {value}" for key, value in data.items())
    path.write_text("\n".join([*lines, f"data: {{{words}}}"]))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """The folder of a recipe whose rows are three files, and its run; read only."""
    folder = tmp_path_factory.mktemp("parts")
    path = recipe_of(folder, write(folder, divided()))
    return folder, fit(path, overrides=QUICK, out=folder / "run", quiet=True)


def test_files_equal_a_column_that_divides_the_same_rows(
    files: tuple[Path, Run], tmp_path: Path
) -> None:
    run = files[1]
    whole = pl.concat(divided().values())
    data = {"path": "rows.parquet", "split": "{kind: column, column: split}"}
    whole.write_parquet(tmp_path / "rows.parquet")
    other = fit(recipe_of(tmp_path, data), overrides=QUICK, out=tmp_path / "run", quiet=True)
    assert run.metrics["tasks"] == other.metrics["tasks"]
    assert run.info.facts.rows == {name: part.height for name, part in divided().items()}
    assert run.info.facts.split == "given"


def test_frames_equal_files(files: tuple[Path, Run], tmp_path: Path) -> None:
    parts, path = divided(), recipe_of(tmp_path, {})
    path.write_text(path.read_text().replace("data: {}", ""))
    run = fit(
        path,
        train=parts["train"],
        valid=parts["valid"].to_arrow(),
        test=parts["test"].to_pandas(),
        overrides=QUICK,
        out=tmp_path / "run",
        quiet=True,
    )
    assert run.metrics["tasks"] == files[1].metrics["tasks"]
    assert Run.open(run.folder).recipe.data.split.kind == "given"


def test_vocabularies_know_training_rows_alone(files: tuple[Path, Run]) -> None:
    ids = pl.Series([0, 99])
    assert (files[1].encoder.tables["user_id"].encode(ids) == 2).tolist() == [False, True]
    notes = files[1].info.facts.notes
    assert "user_id: 100.0% of the test values never seen in training" in notes


def test_an_interrupted_run_of_files_goes_on(
    files: tuple[Path, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, evaluate = files[0] / "small.yaml", Trainer._evaluate

    def stop(self: Trainer, *rest: Any, **options: Any) -> None:
        evaluate(self, *rest, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(path, overrides=QUICK, out=tmp_path / "run", quiet=True)
    monkeypatch.setattr(Trainer, "_evaluate", evaluate)
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    resumed = fit(recipe, out=tmp_path / "run", resume=True, quiet=True)
    assert resumed.metrics["tasks"] == files[1].metrics["tasks"]


def test_a_changed_test_file_is_noticed_on_resuming(tmp_path: Path) -> None:
    path = recipe_of(tmp_path, write(tmp_path, divided(300)))
    fit(path, overrides=QUICK, out=tmp_path / "run", quiet=True)
    write(tmp_path, divided(300) | {"test": divided(310)["test"]})
    with pytest.raises(RunError, match="the rows have changed since this run began"):
        fit(path, overrides=QUICK, out=tmp_path / "run", resume=True, quiet=True)


def test_predict_and_evaluate_take_one_file(files: tuple[Path, Run]) -> None:
    from crosstower.ranking.results import evaluate_on

    folder, run = files
    path = str(folder / "test.parquet")
    with pytest.warns(match="none of the 180 values was ever seen"):  # one user, a new one
        assert run.predict(path).height == divided()["test"].height
    with pytest.warns(match="none of the 180 values was ever seen"):
        report = evaluate_on(run, path, folder / "again.html")[0][0]
    auc = report.models[0].metrics["auc"].mean
    assert auc == pytest.approx(run.metrics["tasks"]["click"]["wide_deep"]["auc"]["mean"])


def test_held_out_rows_are_those_of_the_files(files: tuple[Path, Run]) -> None:
    recipe = files[1].recipe
    source = training_source(recipe.data)
    for split, found in held_out_columns(recipe, source, source.columns()).items():
        assert found.equals(divided()[split])


def test_a_blend_reads_the_files_again(files: tuple[Path, Run]) -> None:
    recipe = parse_recipe(
        "schema: {columns: {x: numeric}, tasks: {click: binary}}\nblend: {weights: {click: 1}}"
    )
    # `age` is not stored with the predictions.
    result = blend_run(files[1], recipe.blend, user="age")
    assert result.orders


def test_a_policy_is_evaluated_on_the_test_file(files: tuple[Path, Run], tmp_path: Path) -> None:
    parts = {n: p.with_columns(chance=pl.lit(0.25)) for n, p in divided().items()}
    path = recipe_of(tmp_path, write(tmp_path, parts))
    run = fit(path, overrides=QUICK, out=tmp_path / "run", quiet=True)
    report = evaluate_policy(run, action="genre", propensity="chance", temperature=1.0)
    assert report.rows == parts["test"].height


def test_joined_tables_reach_all_parts(tmp_path: Path) -> None:
    parts = {name: pl.DataFrame({"a": [i, i + 1]}) for i, name in enumerate(SPLIT)}
    pl.DataFrame({"a": [0, 1, 2, 3], "b": [5, 6, 7, 8]}).write_parquet(tmp_path / "b.parquet")
    data = Data(joins=(Join(path=str(tmp_path / "b.parquet"), on="a"),))
    source = training_source(data, parts)
    chunks = [c.frame for c in source.chunks(["b", SPLIT_COLUMN])]
    assert pl.concat(chunks).rows() == [
        (5, "train"), (6, "train"), (6, "valid"), (7, "valid"), (7, "test"), (8, "test")
    ]  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=3, max_size=3))
def test_rows_are_numbered_over_all_parts(parts: list[list[int]]) -> None:
    frames = [pl.DataFrame({"a": part}, schema={"a": pl.Int64}) for part in parts]
    named = {name: FrameSource(f, name) for name, f in zip(SPLIT, frames, strict=True)}
    for above in (-1, 4):
        source = FilteredSource(PartsSource(named), f"a > {above}")
        found = [
            (c.index + i, *row)
            for c in source.chunks(["a", SPLIT_COLUMN])
            for i, row in enumerate(c.frame.iter_rows())
        ]
        every = [(v, n) for n, part in zip(SPLIT, parts, strict=True) for v in part if v > above]
        assert found == [(i, *row) for i, row in enumerate(every)]


def test_other_rows_have_no_parts() -> None:
    recipe = Recipe.model_validate(
        {
            "schema": {"columns": {"x": "numeric"}, "tasks": {"y": "binary"}},
            "data": {"path": "a", "valid": "b", "test": "c"},
        }
    )
    data = undivided(recipe).data
    assert (data.split.kind, data.valid, data.test) == ("random", None, None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{path: a.csv, valid: b.csv, test: c.csv, split: {kind: random}}", "there is nothing to"),
        ("{path: a.csv, valid: b.csv, test: b.csv}", "is repeated"),
        (
            "{path: 'world:watch_next', valid: b.csv, test: c.csv}",
            "not allowed with a synthetic",
        ),
    ],
)
def test_recipes_that_divide_rows_twice_or_not_at_all(data: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_recipe(f"schema: {{columns: {{x: numeric}}, tasks: {{y: binary}}}}\ndata: {data}")


def test_the_recipe_of_files_is_read_back_as_it_is(tmp_path: Path) -> None:
    schema = "schema: {columns: {x: numeric}, tasks: {y: binary}}"
    text = f"{schema}\ndata: {{path: a.csv, valid: b.csv, test: c.csv}}"
    recipe = parse_recipe(text, folder=tmp_path)
    assert recipe.data.test == str(tmp_path / "c.csv")
    assert parse_recipe(recipe.to_yaml()) == recipe


FRAME = pl.DataFrame({"a": [1]})
PLAIN: dict[str, Any] = {"schema": {"columns": {"x": "numeric"}, "tasks": {"y": "binary"}}}


@pytest.mark.parametrize(
    ("given_rows", "split", "words"),
    [
        ({"valid": FRAME, "test": FRAME}, None, "no train rows"),
        ({"data": {"valid": FRAME, "test": FRAME}}, None, "no train rows"),
        (
            {"data": {"train": FRAME, "validation": FRAME}},
            None,
            r"'validation'; did you mean 'valid'",
        ),
        ({"data": {"x": [1.0], "y": [1]}}, None, r"a mapping with 'x'; make a table of columns"),
        ({"data": FRAME, "train": FRAME}, None, "data and train are given"),
        ({"data": {"train": FRAME}, "test": FRAME}, None, "data and test are given"),
        ({"train": FRAME, "valid": FRAME, "test": FRAME}, {"kind": "random"}, "left to split"),
        ({"train": FRAME}, {"kind": "time", "column": "t"}, "train rows are given"),
        (
            {"train": FRAME, "valid": FRAME},
            {"kind": "given", "valid_fraction": 0.2},
            "data.split.valid_fraction: 0.2 is set",
        ),
    ],
)
def test_frames_that_do_not_go_together(
    given_rows: dict[str, Any], split: dict[str, str] | None, words: str
) -> None:
    recipe = Recipe.model_validate(PLAIN | ({"data": {"split": split}} if split else {}))
    with pytest.raises(RecipeError, match=words):
        parts_of(recipe, GivenRows(**given_rows))


def test_training_rows_have_a_name_of_their_own() -> None:
    recipe = Recipe.model_validate(PLAIN)
    with pytest.warns(CrosstowerWarning, match="data= with valid= and test= is now train="):
        changed, rows = parts_of(recipe, GivenRows(data=FRAME, valid=FRAME, test=FRAME))
    assert (list(rows), changed.data.split) == (SPLIT, GivenSplit())
    changed, rows = parts_of(recipe, GivenRows(train=FRAME))
    assert (list(rows), changed.data.split) == (
        ["train"],
        GivenSplit(valid_fraction=0.1, test=False),
    )


def test_sources_that_say_too_little() -> None:
    given_data = Data.model_validate({"split": {"kind": "given"}})
    with pytest.raises(RecipeError, match="split is 'given', but no rows are"):
        training_source(given_data)
    with pytest.raises(DataError, match="one table does not say"):
        training_source(given_data, FRAME)
    with pytest.raises(DataError, match="train, valid, test, got 'tset'"):
        training_source(given_data, {"tset": FRAME})
    with pytest.raises(DataError, match="is reserved; rename it"):
        training_source(given_data, {"train": pl.DataFrame({SPLIT_COLUMN: [1]})})


def test_a_part_without_a_column_is_named(tmp_path: Path) -> None:
    parts = divided(300)
    parts["valid"] = parts["valid"].drop("genre")
    path = recipe_of(tmp_path, write(tmp_path, parts))
    with pytest.raises(DataError, match=r"valid\.parquet: no column 'genre'"):
        fit(path, overrides=QUICK, out=tmp_path / "run", quiet=True)


def test_frames_stand_beside_the_files_of_a_recipe(files: tuple[Path, Run]) -> None:
    recipe = load_recipe(files[0] / "small.yaml")
    rows = parts_of(recipe, GivenRows(valid=FRAME))[1]
    assert (rows["train"], rows["test"]) == (recipe.data.path, recipe.data.test)
    assert rows["valid"] is FRAME


def test_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    rows = {"train": FRAME, "valid": str(tmp_path / "none.csv"), "test": FRAME}
    with pytest.raises(DataError, match=r"valid rows: .*none\.csv: no such file"):
        training_source(Data(), rows)
    with pytest.raises(DataError, match="test rows: data frame: no rows"):
        training_source(Data(), rows | {"valid": FRAME, "test": FRAME.head(0)})
