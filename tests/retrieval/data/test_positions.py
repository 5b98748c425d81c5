"""Pairs whose histories are encoded once: the same pairs, histories, losses and gradients."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crosstower.data.batch import Batch
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.prefixes import Prefixes
from crosstower.data.progress import no_progress
from crosstower.data.sources.source import open_source
from crosstower.errors import DataError
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.models.registry import build
from crosstower.models.two_tower import TwoTower
from crosstower.recipe.recipe import Recipe
from crosstower.retrieval.data.pairs import PairBatches, Pairs
from crosstower.retrieval.data.positions import PositionBatches, window_starts

LENGTH = 6


def rows(lengths: list[int], since: int = 1_600_000_000) -> pl.DataFrame:
    """Rows of users with so many training rows, and one to validate and test each."""
    random = np.random.default_rng(0)
    user = np.repeat(np.arange(len(lengths)), np.array(lengths) + 2)
    columns = {"user": user, "item": random.integers(0, 30, len(user)), "age": user % 7 + 20.5}
    seconds = since + np.exp(random.uniform(0, 15, len(user))).astype(np.int64).cumsum()
    return pl.DataFrame({**columns, "time": seconds})


def job(
    lengths: list[int],
    *,
    pooling: str = "transformer",
    age: bool = True,
    times: bool = False,
    since: int = 1_600_000_000,
    **section: Any,
) -> Any:
    history = {"kind": "sequence", "table": "item", "max_len": LENGTH, "pooling": pooling}
    history |= {"times": True} if times else {}
    columns = {"item": "categorical", "history": history, "age": "numeric"}
    if not age:
        del columns["age"]
    recipe = Recipe.model_validate(
        {
            "name": "pairs",
            "data": {"split": {"kind": "leave_last_out", "group": "user", "time": "time"}},
            "schema": {"columns": columns},
            "model": {"name": "two_tower", "item": ["item"], "dim": 8, "dropout": 0.0},
            "retrieval": {
                "item": "item",
                "user": "user",
                "time": "time",
                "history": "history",
                "exclude_seen": False,
                **section,
            },
            "training": {"batch_size": 16},
        }
    )
    found: Any = check_recipe(recipe)[0]
    source = open_source(rows(lengths, since))
    found.read(source, spill=Path(), encoder=EncoderFit(recipe.schema_), on_progress=no_progress)
    return found


LENGTHS = [1, 5, 12, 3, 1, 7, 30, 2]


def histories(batch: Pairs) -> list[tuple[int, int, list[int]]]:
    """User, item and history of each pair."""
    lists: Any = batch.query.lists["history"]
    table = lists.padded(LENGTH) if isinstance(lists, Prefixes) else lists
    codes = [[c for c in row if c] for row in table.tolist()]
    return list(zip(batch.user.tolist(), batch.item.tolist(), codes, strict=True))


def keys(query: Batch) -> np.ndarray:
    """Return the length of each history, which no other pair of its user has."""
    lists: Any = query.lists["history"]
    return (lists.padded(LENGTH) if isinstance(lists, Prefixes) else lists).bool().sum(1).numpy()


def test_every_pair_is_learned_once_per_epoch_with_its_history() -> None:
    data = job(LENGTHS).data
    stream = PositionBatches(data, 16, seed=0)
    batches = list(stream.epoch(0))
    assert [len(b) for b in batches] == [16, 16, 16, 13]
    assert len(stream) == 4
    found = sorted(pair for b in batches for pair in histories(b))
    wanted = sorted(p for b in PairBatches(data, 16, seed=0).epoch(0) for p in histories(b))
    assert len(found) == sum(LENGTHS) == len(wanted)
    assert [pair[:2] for pair in found] == [pair[:2] for pair in wanted]
    short = [i for i, n in enumerate(LENGTHS) if n <= LENGTH + 1]  # within the first window
    assert [p for p in found if p[0] in short] == [p for p in wanted if p[0] in short]


def test_a_long_history_is_cut_into_windows() -> None:
    data = job([10_000]).data
    codes = data.query_encoder().codes[torch.from_numpy(data.train.items)].tolist()
    seen = 0
    for batch in PositionBatches(data, 512, seed=1).epoch(0):
        places = np.round(np.array([len(c) for _, _, c in histories(batch)]))
        assert places.max() == LENGTH
        seen += len(batch)
        for _, _, had in histories(batch):
            assert len(had) >= LENGTH // 2 or had == codes[: len(had)]
    assert seen == 10_000
    starts = window_starts(torch.arange(10_000), LENGTH)
    assert (torch.arange(10_000) - starts).max() == LENGTH
    assert (starts % (LENGTH // 2) == 0).all()


def test_batches_are_the_same_for_the_same_epoch_and_start_anywhere() -> None:
    data = job(LENGTHS).data
    stream = PositionBatches(data, 16, seed=0)
    whole = [histories(b) for b in stream.epoch(1)]
    assert [histories(b) for b in PositionBatches(data, 16, seed=0).epoch(1, start=2)] == whole[2:]
    assert [histories(b) for b in stream.epoch(2)] != whole


def test_processes_divide_the_pairs_of_a_batch() -> None:
    data = job(LENGTHS).data
    alone = list(PositionBatches(data, 16, seed=0).epoch(0))
    parts = [list(PositionBatches(data, 16, seed=0, rank=r, processes=2).epoch(0)) for r in (0, 1)]
    for whole, *both in zip(alone, *parts, strict=True):
        lists = [row for part in both for row in part.query.lists["history"].padded().tolist()]  # type: ignore[union-attr]
        assert lists == whole.query.lists["history"].padded().tolist()  # type: ignore[union-attr]
        assert all(part.item.tolist() == whole.item.tolist() for part in both)


def test_the_queries_of_processes_have_the_times_of_all() -> None:
    one = job(LENGTHS, pooling="hstu", times=True)
    torch.manual_seed(0)
    model = build(one.encoder.layout, one.recipe.model).eval()
    assert isinstance(model, TwoTower)
    for name, parameter in model.named_parameters():
        if "time_bias" in name:
            torch.nn.init.normal_(parameter)
    whole = PositionBatches(one.data, 16, seed=0).epoch(0)
    parts = [PositionBatches(one.data, 16, seed=0, rank=r, processes=2).epoch(0) for r in (0, 1)]
    for batch, *both in zip(whole, *parts, strict=True):
        found = torch.cat([model.queries(part.query) for part in both])
        torch.testing.assert_close(found, model.queries(batch.query), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "times"),
    [("transformer", False), ("bsarec", False), ("hstu", False), ("hstu", True)],
)
@pytest.mark.parametrize(
    "section",
    [{"objective": "full_softmax"}, {"negatives": {"uniform": 5}}],
    ids=["full", "sampled"],
)
def test_loss_and_gradients_are_those_of_separate_rows(
    pooling: str, times: bool, section: dict[str, Any]
) -> None:
    """All histories are shorter than the window, so that both read the same items."""
    one = job([1, 5, 4, 3, 6, 2], pooling=pooling, times=times, **section)
    (batch,) = PositionBatches(one.data, 50, seed=0).epoch(0)
    (each,) = PairBatches(one.data, 50, seed=0).epoch(0)
    order = torch.from_numpy(np.lexsort((keys(each.query), each.user)))
    back = torch.from_numpy(np.lexsort((keys(batch.query), batch.user))).argsort()
    apart = Pairs(each.query[order[back]], batch.item, batch.user)
    assert torch.equal(each.item[order[back]], batch.item)
    torch.manual_seed(0)
    model = build(one.encoder.layout, one.recipe.model).train()
    assert isinstance(model, TwoTower)
    for name, parameter in model.named_parameters():
        if "time_bias" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    found = list[tuple[float, dict[str, torch.Tensor]]]()
    for pairs in (batch, apart):
        model.zero_grad()
        torch.manual_seed(1)  # of the negatives
        loss = one.objective().loss(model, pairs)
        loss.backward()
        gradients = {
            n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None
        }
        found.append((float(loss.detach()), gradients))
    assert found[0][0] == pytest.approx(found[1][0], abs=1e-5)
    assert any(name.startswith("embed.pools") for name in found[0][1])
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name], rtol=1e-3, atol=1e-5)


def test_times_that_only_order_the_rows_are_refused() -> None:
    with pytest.raises(DataError, match="column 'time': holds numbers that only order its rows"):
        job([3, 4], pooling="hstu", times=True, since=0)


def test_pairs_without_an_earlier_item_teach_nothing_if_the_history_is_all() -> None:
    data = job(LENGTHS, age=False).data
    batches = list(PositionBatches(data, 16, seed=0).epoch(0))
    found = [pair for b in batches for pair in histories(b)]
    assert len(found) == sum(LENGTHS) - len(LENGTHS)
    assert all(had for _, _, had in found)
    with pytest.raises(DataError, match="no training row has an earlier item of its user"):
        PositionBatches(job([1, 1, 1], age=False).data, 16, seed=0)


@pytest.mark.parametrize("pooling", ["attention", "mean"])
def test_other_poolings_learn_from_separate_rows(pooling: str) -> None:
    assert type(job([3, 4], pooling=pooling).batches(0)) is PairBatches
    assert type(job([3, 4]).batches(0)) is PositionBatches
