"""Rows encoded piece by piece are those encoded in one go, bit by bit, for every column kind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.counters.counted_source import counted_training_source
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.errors import DataError, RecipeError
from crosstower.ranking import daft_passes
from crosstower.ranking.data import Prepared, prepare
from crosstower.recipe.kinds.registry import COLUMNS as KINDS
from crosstower.recipe.recipe import Recipe

from ..fixtures.every_kind import COLUMNS, TASKS, events, rows

pytestmark = pytest.mark.slow


def recipe_of(folder: Path, path: str, **data: Any) -> Recipe:
    split = {"kind": "random", "fractions": [0.6, 0.2, 0.2]}
    given = {"path": path, "events": str(folder / "log.parquet"), "time": "time", "split": split}
    return Recipe.model_validate(
        {
            "schema": {"columns": COLUMNS, "tasks": TASKS},
            "data": {**given, **data},
            "evaluation": {"group": "user", "slices": ["city"]},
        }
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows as one file, as files of several row groups, and as Arrow; and their log."""
    folder, frame = tmp_path_factory.mktemp("kinds"), rows()
    events(frame).write_parquet(folder / "log.parquet")
    frame.write_parquet(folder / "one.parquet")
    (folder / "many").mkdir()
    for number, (begin, end) in enumerate([(0, 251), (251, 252), (252, 600)]):
        part = frame[begin:end]
        part.write_parquet(folder / "many" / f"{number}.parquet", row_group_size=40)
    frame.write_ipc(folder / "one.arrow", record_batch_size=70)
    return folder


def prepared(recipe: Recipe, spill: Path, frame: Any = None) -> tuple[Prepared, EncoderFit]:
    fit = EncoderFit(recipe.schema_)
    source = counted_training_source(recipe, frame)
    return prepare(recipe, source, spill=spill, encoder=fit), fit


def all_of(found: Prepared, split: str) -> Batch:
    kept = found.rows[split]
    return Batch.concatenate([kept.block(number) for number in range(kept.blocks)])


def assert_same(one: Prepared, other: Prepared) -> None:
    assert one.facts.model_copy(update={"source": ""}) == other.facts.model_copy(
        update={"source": ""}
    )
    assert (one.fingerprints.hashes == other.fingerprints.hashes).all()
    for split in ("train", "valid", "test"):
        left, right = (all_of(found, split) for found in (one, other))
        pairs = zip(left.tensors(), right.tensors(), strict=True)
        assert all(torch.equal(a.nan_to_num(-9), b.nan_to_num(-9)) for a, b in pairs)
    for split in ("valid", "test"):
        assert one.targets[split].equals(other.targets[split], null_equal=True)


def test_every_built_in_kind_is_among_the_columns() -> None:
    kinds = {c if isinstance(c, str) else c["kind"] for c in COLUMNS.values()}
    own = {n for n, kind in KINDS.entries.items() if kind.__module__.startswith("crosstower.")}
    assert kinds == own


@pytest.mark.parametrize("piece_rows", [71, 10_000])
@pytest.mark.parametrize("form", ["one.parquet", "many", "one.arrow"])
def test_codes_and_statistics_are_those_of_one_pass(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, piece_rows: int
) -> None:
    monkeypatch.setattr(daft_passes, "PIECE_ROWS", piece_rows)
    path = str(written / form)
    local, one = prepared(recipe_of(written, path), tmp_path / "local")
    daft, other = prepared(recipe_of(written, path, engine="daft"), tmp_path / "daft")
    assert_same(local, daft)
    assert one.learned().memories == other.learned().memories
    for name, seen in one.learned().seen.items():
        assert seen.equals(other.learned().seen[name])


def test_divided_csv_files_with_a_join_are_read_alike(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daft_passes, "PIECE_ROWS", 50)
    frame = rows().drop("tags", "seen", "point", "age")
    rows().select("user", "age").unique("user", keep="first").write_csv(tmp_path / "users.csv")
    parts = {"path": frame[:300], "valid": frame[300:450], "test": frame[450:]}
    for name, part in parts.items():
        part.write_csv(tmp_path / f"{name}.csv")
    columns = {n: c for n, c in COLUMNS.items() if n not in ("tags", "seen", "point", "unit")}
    plain = {
        **{name: str(tmp_path / f"{name}.csv") for name in parts},
        "joins": [{"path": str(tmp_path / "users.csv"), "on": "user"}],
        "events": str(written / "log.parquet"),
        "time": "time",
    }
    found = []
    for engine in ("local", "daft"):
        data = {**plain, "engine": engine}
        schema = {"columns": columns, "tasks": TASKS}
        recipe = Recipe.model_validate({"schema": schema, "data": data})
        found.append(prepared(recipe, tmp_path / engine)[0])
    assert_same(*found)
    assert found[1].facts.joins[0].rows == 600


def test_a_bad_cell_is_reported_with_its_row(written: Path, tmp_path: Path) -> None:
    frame = rows().with_columns(pl.col("age").cast(pl.String))
    frame[500, "age"] = "old"
    path = tmp_path / "bad.parquet"
    frame.write_parquet(path, row_group_size=64)
    errors = []
    for engine in ("local", "daft"):
        with pytest.raises(DataError, match="'age': expected a finite number, got 'old'") as found:
            prepared(recipe_of(written, str(path), engine=engine), tmp_path / engine)
        errors.append(str(found.value))
    assert errors[0] == errors[1]
    assert "row 500 of" in errors[0]
    skipping = recipe_of(written, str(path), engine="daft", on_bad_rows="skip")
    assert "1 rows left out for 'age'" in prepared(skipping, tmp_path / "skip")[0].facts.notes


def test_two_nodes_of_ray_give_what_one_process_gives(written: Path, tmp_path: Path) -> None:
    recipe = recipe_of(written, str(written / "one.parquet"))
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    script = Path(__file__).parents[1] / "fixtures" / "ray_pieces.py"
    command = [sys.executable, script, tmp_path / "recipe.yaml", tmp_path]
    own = os.environ | {"RAY_worker_niceness": "0"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[-2:] == ["same 2 workers", ""], done.stderr[-2_000:]


def test_own_learners_without_merge_are_refused(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EncoderFit, "unmerged", lambda fit: ["age"])
    with pytest.raises(RecipeError, match=r"column 'age' \(kind 'numeric'\) has no method merge"):
        prepared(recipe_of(written, str(written / "many"), engine="daft"), tmp_path / "daft")
