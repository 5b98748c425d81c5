"""What a folder of prepared rows keeps, apart from trainings (see tests/fitting/test_prepared)."""

import json
from pathlib import Path

import pytest

from crosstower.data.encoders.learned import load_learned
from crosstower.data.prepared_folder import open_prepared
from crosstower.errors import RunError
from crosstower.fitting.prepared import prepare
from crosstower.recipe.recipe import Recipe


def test_the_encoder_and_what_a_warm_start_needs_are_kept(recipe: Recipe, tmp_path: Path) -> None:
    stored = prepare(recipe, tmp_path / "rows.prepared", quiet=True)
    _, learned = load_learned(stored.folder / "encoder")
    assert stored.recipe == recipe
    assert stored.learned.seen["genre"].equals(learned.seen["genre"])
    assert stored.encoder.schema == recipe.schema_
    assert stored.facts.rows == {n: len(stored.rows(n, 10**9)) for n in ("train", "valid", "test")}


def test_a_folder_of_another_format_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    folder = prepare(recipe, tmp_path / "rows.prepared", quiet=True).folder
    manifest = json.loads((folder / "prepared.json").read_bytes())
    (folder / "prepared.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(RunError, match="written by a newer Crosstower"):
        open_prepared(folder)
