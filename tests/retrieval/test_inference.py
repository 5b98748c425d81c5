"""Vectors and lists of a retrieval model, against all scores at once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower
from crosstower.retrieval import inference
from crosstower.retrieval.data.retrieval_data import RetrievalData
from crosstower.retrieval.inference import evaluation_lists, hard_lists, item_vectors, query_vectors

from .data.test_retrieval_data import prepared, recipe


@pytest.fixture
def data(tmp_path: Path) -> RetrievalData:
    return prepared(tmp_path)


@pytest.fixture
def model(data: RetrievalData) -> TwoTower:
    torch.manual_seed(0)
    built = build(data.encoder.layout, recipe().model | {"name": "two_tower", "dim": 4}).eval()
    assert isinstance(built, TwoTower)
    return built


def scores(queries: torch.Tensor, items: torch.Tensor, seen: tuple[np.ndarray, ...]) -> np.ndarray:
    found = (queries @ items.T).numpy().astype(np.float64)
    found[seen] = -np.inf
    return found


def agree(lists: np.ndarray, expected: np.ndarray) -> None:
    for places, row in zip(lists, expected, strict=True):
        there = places[places >= 0]
        assert len(there) == min(lists.shape[1], np.isfinite(row).sum())
        np.testing.assert_allclose(row[there], np.sort(row)[::-1][: len(there)], rtol=1e-5)


def test_blocks_of_rows_change_no_vector(
    data: RetrievalData, model: TwoTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = data.evaluation["test"]
    encoder, compact = data.query_encoder(), data.evaluation_batches["test"]

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        items = item_vectors(model, data.item_batch)
        vectors = query_vectors(model, encoder, compact, queries.users, queries.earlier)
        return items, vectors

    whole = both()
    monkeypatch.setattr(inference, "_ROWS", 1)
    for one, other in zip(both(), whole, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_lists_are_the_best_unseen_items(data: RetrievalData, model: TwoTower, split: str) -> None:
    queries = data.evaluation[split]
    batch = data.evaluation_batches[split]
    vectors = query_vectors(model, data.query_encoder(), batch, queries.users, queries.earlier)
    items = item_vectors(model, data.item_batch)
    agree(evaluation_lists(model, recipe(), data, split, 3), scores(vectors, items, queries.seen))


def test_hard_lists_leave_out_what_the_user_was_trained_on(
    data: RetrievalData, model: TwoTower
) -> None:
    users = np.arange(len(data.rows.users))
    seen = data.train.pairs(users)
    found = hard_lists(model, data, 2).numpy()
    assert found.shape == (len(users), 2)
    trained = set(zip(*(part.tolist() for part in seen), strict=True))
    shown = {(user, item) for user in users for item in found[user].tolist() if item >= 0}
    assert not shown & trained
