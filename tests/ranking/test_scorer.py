"""Scores of one user's candidates against those of the same rows, scored whole."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor, nn

from crosstower.blending.blender import fit_blend
from crosstower.data.batch import Batch
from crosstower.data.cleaner import Cleaner
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.encoders.request_encoder import RequestEncoder
from crosstower.data.sources.source import Chunk
from crosstower.errors import QueryError, RunError
from crosstower.models.registry import build, model_names
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.trained_pooling import TARGETED
from crosstower.ranking import scorer as scores
from crosstower.ranking.scorer import Scorer
from crosstower.recipe.blend import Blend
from crosstower.recipe.own_columns import raw_name
from crosstower.recipe.schema import Schema

POOLINGS = ("mean", "sum", "max", "attention", "gru")
COMPARED = ("target", "bst", "hstu")
"""Poolings that compare a history with the item; a two-tower model takes its mean instead."""
OF_USER: dict[str, Any] = {
    "user": "categorical",
    "age": {"kind": "numeric", "transform": "bucketise", "boundaries": [30, 60]},
    "hour": "numeric",
    "likes": {"kind": "bag", "max_len": 3, "pooling": "max"},
    "asked": {"kind": "text", "hash_buckets": 50, "max_len": 8},
    "taste": {"kind": "vector", "width": 2},
} | {
    p: {"kind": "sequence", "max_len": 4, "table": "item", "pooling": p}
    for p in (*POOLINGS, *COMPARED)
}
OF_USER["hstu"] |= {"target": "item"}
OF_ITEM: dict[str, Any] = {
    "item": "categorical",
    "price": "numeric",
    "tags": "bag",
    "watched_by": {"kind": "sequence", "max_len": 2, "pooling": "attention"},
    "title": {"kind": "text", "hash_buckets": 60, "max_len": 8, "dim": 3},
    "picture": {"kind": "vector", "width": 3},
    "far": {"kind": "distance", "origin": ["lat", "lon"], "to": ["la", "lo"]},
    "north": {"kind": "formula", "expression": "lat - la"},
}
CROSSES: dict[str, Any] = {
    "own": {"kind": "cross", "columns": ["user", "age"], "hash_buckets": 40, "dim": 5},
    "both": {"kind": "cross", "columns": ["user", "item"], "hash_buckets": 90, "dim": 4},
    "wide": {"kind": "cross", "columns": ["item", "age"], "hash_buckets": 70},
}
TASKS = {"click": "binary", "stars": "rating"}


def rows_of(count: int, seed: int, *, users: int) -> pl.DataFrame:
    """Rows of `users` users and `count` items each."""
    random = np.random.default_rng(seed)
    n = users * count
    user = pl.DataFrame(
        {
            "user": random.integers(0, 20, users),
            "age": random.integers(10, 90, users),
            "hour": random.normal(12, 4, users),
            "likes": [list("abcd"[: k + 1]) for k in random.integers(0, 4, users)],
            "asked": random.choice(["quiet hotel", "near the sea"], users),
            "taste": random.normal(size=(users, 2)).tolist(),
            "lat": random.uniform(40, 50, users),
            "lon": random.uniform(0, 10, users),
        }
        | {p: random.integers(0, 30, (users, 3)).tolist() for p in (*POOLINGS, *COMPARED)}
    )
    item = pl.DataFrame(
        {
            "item": random.integers(0, 30, n),
            "price": random.normal(100, 20, n),
            "tags": [["x", "y", None, "z"][:k] for k in random.integers(0, 3, n)],
            "watched_by": [list(range(k)) for k in random.integers(0, 3, n)],
            "title": random.choice(["old inn", "tower by the sea", ""], n),
            "picture": random.normal(size=(n, 3)).tolist(),
            "la": random.uniform(40, 50, n),
            "lo": random.uniform(0, 10, n),
        }
    )
    return pl.concat([user[np.repeat(np.arange(users), count)], item], how="horizontal")


def cleaned(schema: Schema, frame: pl.DataFrame, extras: list[str]) -> pl.DataFrame:
    return Cleaner(schema, extras, with_labels=False).clean(Chunk(frame, "rows", 0, 0))


def scorer_of(name: str, columns: dict[str, Any], user: dict[str, Any]) -> Scorer:
    """Return an untrained model whose weights are too large to hide anything."""
    crosses = {} if name == "two_tower" else {k: CROSSES[k] for k in CROSSES if k in columns}
    allowed = {n: c for n, c in columns.items() if n not in CROSSES} | crosses
    if name == "two_tower":
        plain = {"pooling": "mean", "target": None}
        allowed |= {n: allowed[n] | plain for n in COMPARED if n in allowed}
    schema = Schema.model_validate({"columns": allowed, "tasks": TASKS})
    fit = EncoderFit(schema)
    fit.add(cleaned(schema, rows_of(10, 1, users=30), []))
    options = {"item": [n for n in allowed if n not in user]} if name == "two_tower" else {}
    torch.manual_seed(0)
    model = build(fit.finish().layout, {"name": name} | options)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.1)
    return Scorer(fit.finish(), model.eval())


def sides(
    scorer: Scorer, user: dict[str, Any], extras: tuple[list[str], list[str]] = ([], [])
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the cleaned row of a user, the cleaned rows of candidates, and both together."""
    schema, frame = scorer.encoder.schema, rows_of(7, 2, users=1)
    own = [n for n in schema.columns if n in user]
    others = [n for n in schema.columns if n not in user]
    return (
        cleaned(schema.part(own), frame.head(1), extras[0]),
        cleaned(schema.part(others), frame, extras[1]),
        cleaned(schema, frame, [*extras[0], *extras[1]]),
    )


def of_request(
    scorer: Scorer, own: Iterable[str], user: pl.DataFrame, items: pl.DataFrame
) -> pl.DataFrame:
    """Return the scores of a user's candidates, the user's columns encoded on one row."""
    request = RequestEncoder(scorer.encoder, [*own]).encode(user, items)
    raw = {
        name: items[column]
        if (column := raw_name(name)) in items.columns
        else user[column].new_from_index(0, items.height)
        for name in scorer.columns
    }
    return scorer.score_encoded(request, pl.DataFrame(raw))


EVERYTHING = OF_USER | OF_ITEM | CROSSES


@pytest.mark.parametrize("name", model_names())
def test_scores_are_those_of_whole_rows(name: str) -> None:
    scorer = scorer_of(name, EVERYTHING, OF_USER)
    user, items, whole = sides(scorer, OF_USER)
    found = of_request(scorer, OF_USER, user, items)
    expected = scorer.score(whole)
    assert expected["click__prediction"].n_unique() > 2
    assert_frame_equal(found, expected, rel_tol=1e-6, abs_tol=1e-7)


@pytest.mark.parametrize("column", [*OF_USER])
def test_every_kind_of_column_may_be_the_users(column: str) -> None:
    user = {column: OF_USER[column]}
    scorer = scorer_of("dcn_v2", user | OF_ITEM, user)
    one, items, whole = sides(scorer, user)
    found = of_request(scorer, [column], one, items)
    assert_frame_equal(found, scorer.score(whole), rel_tol=1e-6, abs_tol=1e-7)


def test_candidates_beyond_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_SCORE_ROWS", 3)
    scorer = scorer_of("mlp", EVERYTHING, OF_USER)
    user, items, whole = sides(scorer, OF_USER)
    found = of_request(scorer, OF_USER, user, items)
    assert_frame_equal(found, scorer.score(whole), rel_tol=1e-6, abs_tol=1e-7)


@pytest.mark.parametrize("name", ["dcn_v2", "mmoe", "two_tower"])
def test_what_is_the_users_is_computed_on_one_row(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = scorer_of(name, EVERYTHING, OF_USER)
    rows: dict[str, int] = {}
    pooled, bags = EmbeddingStore._pooled, EmbeddingStore._bags

    def noted(self: EmbeddingStore, field: str, values: torch.Tensor) -> torch.Tensor:
        rows[field] = len(pooled(self, field, values))
        return pooled(self, field, values)

    def noted_bags(self: EmbeddingStore, values: Any) -> dict[str, torch.Tensor]:
        found = bags(self, values)
        rows.update({field: len(pooled) for field, pooled in found.items()})
        return found

    monkeypatch.setattr(EmbeddingStore, "_pooled", noted)
    monkeypatch.setattr(EmbeddingStore, "_bags", noted_bags)
    for place, module in scorer.model.named_modules():
        for pooling, kind in TARGETED.items():
            if isinstance(module, kind):
                monkeypatch.setattr(module, "forward", noted_rows(rows, pooling, module.forward))
        if place.endswith("_tower"):
            module.register_forward_hook(lambda *a, at=place: rows.update({at: len(a[2])}))
    user, items, whole = sides(scorer, OF_USER)
    of_request(scorer, OF_USER, user, items)
    lists = dict.fromkeys(("likes", "asked", *POOLINGS, *COMPARED), 1)
    lists |= {"tags": 7, "watched_by": 7, "title": 7}
    towers = {"query_tower": 1, "item_tower": 7} if name == "two_tower" else {}
    assert rows == lists | towers
    rows.pop("target")  # needs no padding for whole rows
    scorer.score(whole)
    assert set(rows.values()) == {7}


def noted_rows(rows: dict[str, int], name: str, forward: Callable[..., Tensor]) -> Any:
    """Return a forward pass that notes how many histories it is given."""

    def note(target: Tensor, values: Tensor, present: Tensor) -> Tensor:
        rows[name] = len(values)
        return forward(target, values, present)

    return note


def test_raw_columns_of_both_sides_reach_the_blend() -> None:
    scorer = scorer_of("mlp", OF_USER | OF_ITEM, OF_USER)
    bid = {"weights": {"click": 1.0}, "mode": "product", "amount": "price"}
    frame = pl.DataFrame({"click__prediction": [0.1, 0.4], "price": [1.0, 2.0]})
    blend = fit_blend(Blend.model_validate(bid), {"click": "binary"}, frame)
    blended = Scorer(scorer.encoder, scorer.model, blend=blend)
    of_item = sides(blended, OF_USER, ([], ["price"]))
    found = of_request(blended, OF_USER, *of_item[:2])
    expected = blended.score(of_item[2])
    assert expected.columns[-1] == "blend__score"
    assert_frame_equal(found, expected, rel_tol=1e-6, abs_tol=1e-6)
    of_user = sides(blended, OF_USER, (["price"], []))
    paid = of_user[0][raw_name("price")][0]
    by_user = of_request(blended, OF_USER, *of_user[:2])
    np.testing.assert_allclose(by_user["blend__score"], paid * found["click__prediction"], 1e-5)


def test_no_candidates_have_no_scores() -> None:
    scorer = scorer_of("dcn_v2", EVERYTHING, OF_USER)
    user, items, _ = sides(scorer, OF_USER)
    found = of_request(scorer, OF_USER, user, items.clear())
    assert found.height == 0
    assert found.columns == ["click__prediction", "stars__prediction"]


def test_bfloat16_is_near_float32_but_not_the_same() -> None:
    scorer = scorer_of("dcn_v2", EVERYTHING, OF_USER)
    whole = sides(scorer, OF_USER)[2]
    narrow = Scorer(scorer.encoder, scorer.model, precision="bfloat16").score(whole)
    exact = scorer.score(whole)
    gap = (narrow["click__prediction"] - exact["click__prediction"]).abs().max()
    assert isinstance(gap, float)
    assert 0 < gap < 0.05


def test_a_precision_that_there_is_not_is_refused() -> None:
    scorer = scorer_of("mlp", OF_ITEM, {})
    with pytest.raises(RunError, match="precision: expected one of float32, bfloat16, got 'half'"):
        Scorer(scorer.encoder, scorer.model, precision="half")  # type: ignore[arg-type]


def test_a_user_of_two_rows_is_refused() -> None:
    scorer = scorer_of("mlp", EVERYTHING, OF_USER)
    user, items, _ = sides(scorer, OF_USER)
    with pytest.raises(QueryError, match="the row of one user, got 0 rows"):
        of_request(scorer, OF_USER, user.clear(), items)


def test_an_exported_model_is_given_few_rows_of_long_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """It pads every list to the same length; the model itself pads none of these."""
    monkeypatch.setattr(scores, "_PADDED_CODES", 10)
    scorer = scorer_of("mlp", EVERYTHING, OF_USER)
    _, _, whole = sides(scorer, OF_USER)
    given = list[int]()

    class Form:
        def logits(self, batch: Batch) -> dict[str, np.ndarray]:
            given.append(len(batch))
            return scores.Eager(scorer.model).logits(batch)

    exported = replace(scorer, model=Form())
    assert_frame_equal(exported.score(whole), scorer.score(whole), rel_tol=1e-6, abs_tol=1e-7)
    width = sum(f.length for f in scorer.encoder.layout.lists if f.name != "asked")
    assert sum(given) == whole.height
    assert max(given) == max(10 // width, 1)
    assert len(given) > 1
