"""Pairs of a retriever, stored and loaded; see tests/fitting/test_prepared for whole trainings."""

from pathlib import Path

import numpy as np
import torch

from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prepared_folder import write_prepared
from crosstower.data.reading import source_of
from crosstower.retrieval.data.prepared_pairs import load_pairs, store_pairs
from crosstower.retrieval.data.retrieval_data import prepare_retrieval

from ...fixtures.films import recipe as film_recipe


def test_pairs_items_and_queries_are_kept(tmp_path: Path) -> None:
    films = film_recipe(tmp_path, data={"times": {"time": "s"}})
    fit, folder = EncoderFit(films.schema_), tmp_path / "stored"
    folder.mkdir()
    plain = prepare_retrieval(films, source_of(films.data), encoder=fit)
    shards = store_pairs(plain, folder)
    stored = write_prepared(folder, films, (plain.encoder, fit.learned()), plain.facts, shards)
    found = load_pairs(films, stored)
    assert found.items.attributes.equals(plain.items.attributes)
    assert found.rows.frame.equals(plain.rows.frame)
    assert torch.equal(found.queries.codes, plain.queries.codes)
    assert plain.train.times is not None
    assert np.array_equal(found.train.times, plain.train.times)  # type: ignore[arg-type]
    assert found.evaluation["test"].times is not None
    assert torch.equal(found.item_batch.codes, plain.item_batch.codes)
    for split in ("valid", "test"):
        one, other = found.evaluation[split], plain.evaluation[split]
        assert np.array_equal(one.relevant[1], other.relevant[1])
        codes = (d.evaluation_batches[split].codes for d in (found, plain))
        assert torch.equal(*codes)
