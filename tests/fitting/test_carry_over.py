"""Rows of parameters follow the values of their tables."""

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from crosstower.data.encoders.encoder import Encoder
from crosstower.data.encoders.encoder_fit import EncoderFit
from crosstower.data.layout import CodeField, ListField
from crosstower.errors import RunError
from crosstower.fitting import carry_over
from crosstower.fitting.carry_over import (
    NEW,
    CarriedRows,
    carry_state,
    carry_weights,
    code_rows,
    code_sources,
)
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.wide import WideLinear
from crosstower.recipe.schema import Schema
from crosstower.training.optimizers.lazy_adam import LazyAdam

COLUMNS = {"city": "categorical", "shop": {"kind": "categorical", "hash_buckets": 4}}
SCHEMA = Schema.model_validate({"columns": COLUMNS, "tasks": {}})


def encoder(*cities: str) -> Encoder:
    fit = EncoderFit(SCHEMA)
    fit.add(pl.DataFrame({"city": cities, "shop": ["x"] * len(cities)}))
    return fit.finish()


def model(size: int) -> nn.ModuleDict:
    city = CodeField("city", size, "city")
    friends = ListField("friends", size, "city", length=3)
    shop = CodeField("shop", 7, "shop", dim=2)
    store = EmbeddingStore([city, shop], [friends], dim=4)
    wide = WideLinear([(0, city), (1, shop)], [friends], numbers=1, heads=2)
    assert wide.weight is not None
    nn.init.normal_(wide.weight)
    return nn.ModuleDict({"store": store, "wide": wide})


def parts(before: Encoder, after: Encoder) -> tuple[nn.ModuleDict, nn.ModuleDict, CarriedRows]:
    sizes = [e.tables["city"].size for e in (before, after)]
    old, new = model(sizes[0]), model(sizes[1])
    return old, new, CarriedRows(code_sources(before, after), code_rows(old), code_rows(new))


def test_a_code_comes_from_that_of_the_same_value() -> None:
    sources = code_sources(encoder("b", "d", "e"), encoder("a", "b", "c", "e"))
    assert sources["city"].tolist() == [0, 1, 2, NEW, 3, NEW, 5]
    assert sources["shop"].tolist() == list(range(7))


def crossed(cities: str, *, buckets: int = 1_000_000) -> Encoder:
    cross = {"kind": "cross", "columns": ["city", "shop"], "hash_buckets": buckets, "dim": 4}
    schema = Schema.model_validate({"columns": {**COLUMNS, "pair": cross}, "tasks": {}})
    fit = EncoderFit(schema)
    fit.add(pl.DataFrame({"city": list(cities), "shop": ["x"] * len(cities)}))
    return fit.finish()


def pairs_of(encoder: Encoder) -> np.ndarray:
    """Return the codes of the cross of kept, unseen and missing cities with shops."""
    cities = pl.Series("city", ["b", "b", "e", "?", None], dtype=pl.String)
    rows = pl.DataFrame({"city": cities, "shop": ["x", "y", "z", "x", "y"]})
    place = [field.name for field in encoder.layout.codes].index("pair")
    return encoder.encode(rows).codes[:, place].numpy()


def test_a_cross_follows_the_values_of_its_columns() -> None:
    before, after = crossed("bde"), crossed("abce")
    sources = code_sources(before, after)["pair"]
    assert (pairs_of(before) != pairs_of(after))[:3].all()
    assert sources[pairs_of(after)].tolist() == pairs_of(before).tolist()
    new = after.layout.codes[-1].size - (4 + 2 - 2) * 6  # b, e, unseen, missing; six codes of shops
    assert (sources == NEW).sum() == new


def test_a_cross_of_unchanged_columns_keeps_its_buckets() -> None:
    assert "pair" not in code_sources(crossed("bde"), crossed("bde"))


def test_a_cross_of_too_many_combinations_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_over, "MOST_COMBINATIONS", 23)
    assert (code_sources(crossed("bde"), crossed("abce"))["pair"] == NEW).all()


def test_every_row_goes_where_its_value_is_now() -> None:
    before, after = encoder("b", "d", "e"), encoder("a", "b", "c", "e")
    old, new, rows = parts(before, after)
    fresh = {name: p.detach().clone() for name, p in new.named_parameters()}
    carry_weights({f"model.{n}": p for n, p in old.named_parameters()}, new, rows)
    was, now = dict(old.named_parameters()), dict(new.named_parameters())
    pairs = [(0, 0), (1, 1), (2, 2), (3, 4), (5, 6)]  # b and e, after the reserved codes
    for source, target in pairs:
        assert torch.equal(now["store.tables.4"][target], was["store.tables.4"][source])
        for first_was, first_now in ((0, 0), (6 + 7, 7 + 7)):  # city, and friends after the shop
            row = now["wide.weight"][first_now + target]
            assert torch.equal(row, was["wide.weight"][first_was + source])
    assert torch.equal(now["store.tables.2"], was["store.tables.2"])
    for row in (3, 5):
        assert torch.equal(now["store.tables.4"][row], fresh["store.tables.4"][row])


def test_states_follow_and_new_rows_have_none() -> None:
    before, after = encoder("b", "d"), encoder("a", "b")
    old, new, rows = parts(before, after)
    table = old["store"].tables["4"]  # type: ignore[index, union-attr]
    optimizer = LazyAdam([table], lr=0.1)
    nn.functional.embedding(torch.tensor([3, 4]), table, sparse=True).sum().backward()
    optimizer.step()
    state: Mapping[str, Tensor] = optimizer.state[table]
    tensors = {f"optimizer.0.0.{key}": value for key, value in state.items()}
    target = new["store"].tables["4"]  # type: ignore[index, union-attr]
    other = LazyAdam([target], lr=0.1)
    carry_state(tensors, other, "optimizer.0.", {id(target): "store.tables.4"}, rows)
    found: Mapping[str, Tensor] = other.state[target]
    assert found["last"].tolist() == [0, 0, 0, 1, 1]  # the new row has missed no step
    assert torch.equal(found["moments"][4], state["moments"][3])
    assert not found["moments"][3].any()
    assert int(found["step"]) == 1


def test_a_parameter_of_another_shape_is_named() -> None:
    old, new, rows = parts(encoder("a"), encoder("a"))
    tensors = {f"model.{n}": p for n, p in old.named_parameters()}
    with pytest.raises(RunError, match=r"'wide.bias' had shape \[3\] and has \[2\]"):
        carry_weights(tensors | {"model.wide.bias": torch.zeros(3)}, new, rows)


@pytest.mark.parametrize(("cities", "changed"), [(("a", "b"), False), (("a", "c"), True)])
def test_an_embedding_of_ones_own_is_refused_once_the_vocabulary_changes(
    cities: tuple[str, ...], changed: bool
) -> None:
    old, new, rows = parts(encoder("a", "b"), encoder(*cities))
    for one in (old, new):
        one["own"] = nn.Embedding(5, 2)
    tensors = {f"model.{n}": p for n, p in old.named_parameters()}
    if not changed:
        carry_weights(tensors, new, rows)
        return
    with pytest.raises(RunError, match=r"'own' is an nn.Embedding"):
        carry_weights(tensors, new, rows)


def test_rows_are_told_for_every_table() -> None:
    found = code_rows(model(6))
    assert {r.table for r in found["store.tables.4"]} == {"city"}
    assert [(r.start, r.size) for r in found["wide.weight"]] == [(0, 6), (6, 7), (13, 6)]
    assert np.sum([r.size for r in found["store.tables.2"]]) == 7


def test_codes_of_an_own_kind_that_grew_are_refused() -> None:
    city = CodeField("city", 4, "city")
    old, new = (
        EmbeddingStore([CodeField("hours", size, "hours"), city], [], dim=2) for size in (7, 9)
    )
    sources = code_sources(encoder("a"), encoder("a"))
    tensors = {f"model.{n}": p for n, p in old.named_parameters()}
    with pytest.raises(RunError, match="column 'hours' had 7 codes and has 9 now"):
        carry_weights(tensors, new, CarriedRows(sources, code_rows(old), code_rows(new)))
