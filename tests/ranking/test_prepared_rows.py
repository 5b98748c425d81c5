"""Rows of a ranker, stored and loaded; see tests/fitting/test_prepared for whole trainings."""

from pathlib import Path

import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prepared_folder import write_prepared
from crosstower.data.reading import source_of
from crosstower.errors import RunError
from crosstower.ranking.data import prepare
from crosstower.ranking.prepared_rows import load_rows, store_rows
from crosstower.recipe.recipe import Recipe


def test_rows_and_targets_are_kept(recipe: Recipe, tmp_path: Path) -> None:
    fit, folder = EncoderFit(recipe.schema_), tmp_path / "stored"
    folder.mkdir()
    plain = prepare(recipe, source_of(recipe.data), spill=tmp_path / "spill", encoder=fit)
    shards = store_rows(plain, folder)
    stored = write_prepared(folder, recipe, (plain.encoder, fit.learned()), plain.facts, shards)
    found = load_rows(recipe, stored)
    assert found.facts == plain.facts
    assert (found.fingerprints.hashes == plain.fingerprints.hashes).all()
    for split, rows in plain.rows.items():
        one, other = (
            Batch.concatenate([r.block(i) for i in range(r.blocks)])
            for r in (rows, found.rows[split])
        )
        assert torch.equal(one.codes, other.codes)
        assert torch.equal(one.numbers, other.numbers)
        if split != "train":
            assert found.targets[split].equals(plain.targets[split])
    (folder / "fingerprints.parquet").unlink()
    with pytest.raises(RunError, match="has no fingerprints"):
        load_rows(recipe, stored)
