"""Batches by user: histories are the items of other folds, never the row's own item."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.ragged import Ragged
from crosstower.data.sources.source import open_source
from crosstower.fitting.fit import fit
from crosstower.funnel.online.request import FunnelRequest
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.pairs import Pairs
from crosstower.retrieval.data.retrieval_data import RetrievalData, prepare_retrieval
from crosstower.retrieval.data.user_batches import UserBatches
from crosstower.retrieval.retriever import Retriever
from crosstower.serving.bundle import make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.training.run import Run

from ...fixtures import films

USERS, ITEMS = 12, 30


def rows() -> pl.DataFrame:
    """Users with 1 to 12 items; one row of each user repeats a pair."""
    random = np.random.default_rng(0)
    parts = [(u, i) for u in range(USERS) for i in random.choice(ITEMS, u + 1, replace=False)]
    parts += [next(p for p in parts if p[0] == u) for u in range(USERS)]
    frame = pl.DataFrame(parts, schema=["user", "item"], orient="row")
    held = pl.DataFrame({"user": [0, 1], "item": [40, 40]})
    named = [
        frame.with_columns(split=pl.lit("train")),
        held.with_columns(split=pl.lit("valid")),
        held.with_columns(item=pl.lit(41, pl.Int64), split=pl.lit("test")),
    ]
    return pl.concat(named).with_columns(device=pl.Series(["tv", "phone"] * 100)[: len(frame) + 4])


def prepared(query: tuple[str, ...] = (), **history: Any) -> RetrievalData:
    recipe = Recipe.model_validate(
        {
            "data": {"split": {"kind": "column", "column": "split"}},
            "schema": {
                "columns": {
                    **dict.fromkeys(("item", *query), "categorical"),
                    "had": {"kind": "bag", **history},
                }
            },
            "model": {"item": ["item"]},
            "retrieval": {"item": "item", "user": "user", "history": "had"},
        }
    )
    return prepare_retrieval(recipe, open_source(rows()))


def batches(data: RetrievalData, size: int = 16, epoch: int = 0, **options: Any) -> list[Pairs]:
    chosen = {"folds": 2, "by_user": True} | options
    return list(UserBatches(data, size, seed=3, **chosen).epoch(epoch))


def histories(data: RetrievalData, batch: Pairs) -> list[list[int]]:
    """Return the history of each pair, as places of items."""
    lists, owner = batch.query.lists["had"], batch.owner
    assert isinstance(lists, Ragged)
    assert owner is not None
    places = {code: place for place, code in enumerate(data.query_encoder().codes.tolist()[:-1])}
    found = [[places[c] for c in lists[i : i + 1].values.tolist()] for i in range(len(lists))]
    return [found[i] for i in owner.tolist()]


def items_of(data: RetrievalData) -> dict[int, set[int]]:
    starts = data.train.starts
    return {u: set(data.train.items[starts[u] : starts[u + 1]].tolist()) for u in range(USERS)}


@pytest.mark.parametrize("by_user", [True, False])
@pytest.mark.parametrize("folds", [2, 3, 40])
def test_a_history_has_the_users_other_items_and_never_the_rows_own(
    folds: int, *, by_user: bool
) -> None:
    data = prepared()
    known = items_of(data)
    for epoch in range(3):
        for batch in batches(data, folds=folds, epoch=epoch, by_user=by_user):
            pairs = zip(batch.user.tolist(), batch.item.tolist(), strict=True)
            for (user, item), had in zip(pairs, histories(data, batch), strict=True):
                assert item not in had
                assert len(had) == len(set(had))
                assert set(had) < known[user]
                others = len(known[user]) - 1
                assert len(had) >= others - others // folds  # the row's fold is left out
                if folds == 40:
                    assert len(had) == others


def test_a_batch_names_the_items_of_each_history() -> None:
    data = prepared()
    for batch in batches(data, folds=3):
        assert batch.history is not None
        assert batch.owner is not None
        named = [batch.history[q : q + 1].values.tolist() for q in batch.owner.tolist()]
        assert named == histories(data, batch)


def test_an_epoch_has_every_row_once_with_the_rows_of_a_user_together() -> None:
    data = prepared()
    found = batches(data)
    assert [len(batch) for batch in found] == [16] * 5 + [10]
    assert len(UserBatches(data, 16, folds=2, by_user=True, seed=3)) == 6
    users, items = (torch.cat([getattr(b, n) for b in found]) for n in ("user", "item"))
    pairs = sorted(zip(users.tolist(), items.tolist(), strict=True))
    own = np.repeat(np.arange(USERS), data.train.lengths()[:USERS])
    assert pairs == sorted(zip(own.tolist(), data.train.items.tolist(), strict=True))
    assert len(torch.unique_consecutive(users)) == USERS
    assert sum(len(b.query) for b in found) <= 2 * USERS + len(found)  # shared


def test_shuffled_rows_share_the_queries_of_their_batch() -> None:
    data = prepared()
    found = batches(data, by_user=False)
    (whole,) = batches(data, size=1000, by_user=False)
    assert len(whole.query) == 2 * USERS - 1  # the first user has one item
    users = torch.cat([batch.user for batch in found])
    assert len(torch.unique_consecutive(users)) > 3 * USERS
    assert torch.equal(users.sort().values, whole.user.sort().values)


def test_folds_are_drawn_anew_and_repeat_for_the_same_seed_and_epoch() -> None:
    data = prepared()
    first, again, other = (
        [sorted(h) for b in batches(data, epoch=e) for h in histories(data, b)] for e in (0, 0, 1)
    )
    assert first == again
    assert first != other
    rest = list(UserBatches(data, 16, folds=2, by_user=True, seed=3).epoch(0, start=4))
    assert [b.item.tolist() for b in rest] == [b.item.tolist() for b in batches(data)[4:]]


def test_long_histories_are_cut_at_random() -> None:
    data = prepared(max_len=2)
    last = [
        (user, had)
        for epoch in range(20)
        for batch in batches(data, epoch=epoch)
        for user, had in zip(batch.user.tolist(), histories(data, batch), strict=True)
        if user == USERS - 1
    ]
    assert {len(had) for _, had in last} == {2}
    assert {item for _, had in last for item in had} == items_of(data)[USERS - 1]


def test_query_columns_of_a_row_stay_with_it() -> None:
    data = prepared(query=("device",))
    for batch in batches(data):
        assert batch.owner is not None
        assert batch.owner.tolist() == list(range(len(batch)))  # devices differ within a user
        assert batch.query.codes.shape[0] == len(batch)


@pytest.mark.parametrize("by_user", [True, False])
def test_processes_have_the_parts_of_one(*, by_user: bool) -> None:
    data = prepared()
    several = [batches(data, rank=r, processes=2, by_user=by_user) for r in (0, 1)]
    for whole, *parts in zip(batches(data, by_user=by_user), *several, strict=True):
        joined = [h for part in parts for h in histories(data, part)]
        assert joined == histories(data, whole)
        assert all(torch.equal(part.item, whole.item) for part in parts)


def test_evaluation_reads_the_whole_history() -> None:
    data = prepared()
    queries = data.evaluation["test"]
    assert data.query_encoder().unordered
    lists = data.query_encoder().lists(
        torch.from_numpy(queries.earlier.items),
        torch.from_numpy(queries.earlier.starts[queries.users]),
        torch.from_numpy(queries.earlier.starts[queries.users + 1]),
    )["had"]
    assert isinstance(lists, Ragged)
    assert lists.counts.tolist() == [2, 3]  # the items of train rows, once each, and of valid rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on a set as history, mixed with the user's embedding."""
    folder = tmp_path_factory.mktemp("sets")
    section = films.recipe(folder).model_dump(mode="json", by_alias=True, exclude_unset=True)
    section["schema"] = {
        "columns": {"user": "categorical", "film": "categorical", "had": {"kind": "bag"}}
    }
    section["data"] = {"split": {"kind": "random"}}
    section["model"] = {
        "item": ["film"], "embedding_dim": 8, "dim": 8, "user_weight": 0.3,
    }  # fmt: skip
    section["retrieval"] |= {"time": None, "items": None, "objective": "full_softmax"}
    section["retrieval"] = {k: v for k, v in section["retrieval"].items() if v is not None}
    recipe = Recipe.model_validate(section)
    return fit(recipe, data=films.watches(), out=folder / "run", quiet=True)


def test_a_list_depends_on_the_set_alone_and_not_on_its_order(trained: Run, tmp_path: Path) -> None:
    drama, other = [f"f{i:02d}" for i in range(0, 24, 3)], [f"f{i:02d}" for i in range(1, 25, 3)]
    retriever = Retriever.open(trained)
    first = retriever.recommend(history=drama, k=5)["item_id"].to_list()
    assert retriever.recommend(history=drama[::-1], k=5)["item_id"].to_list() == first
    assert {int(item[1:]) % 3 for item in first} == {0}
    assert {int(i[1:]) % 3 for i in retriever.recommend(history=other, k=5)["item_id"]} == {1}
    live = Live.open(make_bundle([trained], tmp_path / "bundle"))  # what a server answers with
    found = live.needs_funnel.recommend(FunnelRequest(user=4, k=5))
    ids = retriever.catalogue.ids.gather(found.places)
    assert ids.to_list() == retriever.recommend(4, k=5)["item_id"].to_list()


def test_a_run_starts_from_an_earlier_one_with_longer_sets(trained: Run, tmp_path: Path) -> None:
    rows = films.watches(6000, seed=5).with_columns(film=pl.col("film").replace("f03", "f99"))
    recipe = trained.recipe.model_copy(
        update={"training": trained.recipe.training.model_copy(update={"epochs": 1})}
    )
    again = fit(recipe, data=rows, out=tmp_path / "run", warm_start=trained, quiet=True)
    lengths = [run.encoder.states["had"].length for run in (trained, again)]
    assert lengths[0] < lengths[1]
    before, after = (
        run.metrics["retrieval"]["two_tower"]["ndcg@10"]["mean"] for run in (trained, again)
    )
    assert after > 0.8 * before  # one epoch from random vectors would give a third
    assert Retriever.open(again).recommend(history=["f99"], k=5).height == 5
