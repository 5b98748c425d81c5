"""Pairs of a query and its positive item."""

from pathlib import Path

import polars as pl
import torch

from crosstower.retrieval.data.pairs import PairBatches

from .test_retrieval_data import ROWS, ids, prepared, queries


def test_training_pairs_are_by_user_and_time(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    assert ids(data, data.train.items) == [10, 20, 10, 20]
    assert data.train.lengths().tolist() == [3, 1, 0]
    assert data.items.ids.to_list() == [50, 10, 20, 30, 40, 60]
    assert data.counts.tolist() == [0, 2, 2, 0, 0, 0]


def test_a_pairs_history_is_what_came_before_it(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    (batch,) = PairBatches(data, 10, seed=0).epoch()
    order = torch.argsort(batch.user * 10 + batch.query.lists["had"].ne(0).sum(1))
    *coded, _ = data.query_encoder().codes.tolist()  # the last is that of an unknown item
    codes = dict(zip(data.items.ids, coded, strict=True))
    found = [[c for c in row if c] for row in batch.query.lists["had"][order].tolist()]
    assert found == [[], [codes[10]], [codes[10], codes[20]], []]
    assert ids(data, batch.item[order]) == [10, 20, 10, 20]


def test_batches_are_the_same_for_the_same_epoch_and_start_anywhere(tmp_path: Path) -> None:
    stream = PairBatches(prepared(tmp_path), 1, seed=4)
    whole = [b.item.item() for b in stream.epoch(3)]
    assert [b.item.item() for b in stream.epoch(3, start=2)] == whole[2:]
    assert len(stream) == 4
    assert sorted(whole) == [1, 1, 2, 2]


def test_rows_that_are_only_history_extend_histories_and_are_not_learned(tmp_path: Path) -> None:
    first = pl.Series(["history", *ROWS["split"][1:]])
    whole, data = prepared(tmp_path), prepared(tmp_path, ROWS.with_columns(first.alias("split")))
    (batch,), (every,) = (list(PairBatches(d, 10, seed=0).epoch()) for d in (data, whole))
    lengths = batch.query.lists["had"].ne(0).sum(1)
    pairs = zip(ids(data, batch.item), lengths.tolist(), batch.user.tolist(), strict=True)
    assert sorted(pairs) == [(10, 2, 0), (20, 0, 1), (20, 1, 0)]  # as before, without the first
    assert len(every) == len(batch) + 1
    assert len(PairBatches(data, 2, seed=0)) == 2
    assert data.counts.tolist() == [0, 1, 2, 0, 0, 0]
    for split in ("valid", "test"):
        assert queries(data, split) == queries(whole, split)
    joint = data.with_valid()
    assert len(joint.learned) == len(whole.with_valid().learned) - 1
    assert joint.train.items.tolist() == whole.with_valid().train.items.tolist()
