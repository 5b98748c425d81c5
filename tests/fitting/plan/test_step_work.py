from typing import Any

import pytest

from crosstower.fitting.plan.formulas import Lookups, WeightTable
from crosstower.fitting.plan.sizes import sized_layout
from crosstower.fitting.plan.step_work import is_fused, work_of
from crosstower.recipe.recipe import Recipe
from crosstower.recipe.training import Training

COLUMNS: dict[str, Any] = {
    "user": {"kind": "categorical", "hash_buckets": 997},
    "item": {"kind": "categorical", "hash_buckets": 497},
    "seen": {"kind": "bag", "table": "item", "max_len": 5},
    "age": "numeric",
    "price": "numeric",
}
FUSED = {"embedding_optimizer": "rowwise_adagrad", "clip_norm": None}


def work(model: dict[str, Any], *, devices: int = 2, training: dict[str, Any] | None = None):
    schema = {"columns": COLUMNS, "tasks": {"click": "binary"}}
    recipe = Recipe.model_validate(
        {"schema": schema, "model": model, "training": FUSED if training is None else training}
    )
    layout = sized_layout(recipe, None, ids=None, list_length=None)
    return work_of(recipe, layout, devices=devices)


def test_the_operations_and_weights_are_those_of_the_layers() -> None:
    found = work({"name": "mlp", "hidden": [10, 6], "embedding_dim": 4})
    width = 4 * 3 + 2
    products = width * 10 + 10 * 6 + 6 * 1
    assert found.operations == 2 * products
    assert found.dense_parameters == products + 10 + 6 + 1
    assert found.dense_states == 2


def test_an_average_of_the_weights_is_counted() -> None:
    model = {"name": "wide_deep", "hidden": [10], "embedding_dim": 4}
    plain, averaged = (work(model, training=t) for t in ({}, {"ema_decay": 0.99}))
    assert averaged.dense_states == plain.dense_states + 1
    grown = [b.state - a.state for a, b in zip(plain.tables, averaged.tables, strict=True)]
    assert grown == [4 * t.width + 4 for t in plain.tables]  # and the number of the row's last step
    assert {t.width for t in plain.tables} == {1, 4}


def test_products_of_pairs_are_counted() -> None:
    """DLRM: a bottom MLP 2-5-4, all products of 4 fields of width 4, and a top MLP 4+6-10-1."""
    found = work({"name": "dlrm", "hidden": [10], "embedding_dim": 4, "numbers_hidden": [5]})
    products = 2 * 5 + 5 * 4 + 10 * 10 + 10
    assert found.operations == 2 * (products + 4 * 4 * 4)
    assert found.dense_parameters == products + 5 + 4 + 10 + 1


def test_attention_is_counted() -> None:
    """AutoInt, 5 fields of width 4: projections to 4 times 6, scores, their sums and a head."""
    options = {"hidden": [], "attention_layers": 1, "attention_width": 6, "attention_heads": 1}
    found = work({"name": "autoint", "embedding_dim": 4, **options})
    assert found.operations == 2 * (5 * 4 * 24 + 2 * 5 * 5 * 6 + 5 * 6)
    assert found.dense_parameters == 2 * 4 + 4 * 24 + 5 * 6 + 1


def test_the_activations_grow_with_the_widths() -> None:
    small, large = (work({"name": "mlp", "hidden": [w], "embedding_dim": 4}) for w in (100, 200))
    # Of a layer, ReLU keeps its output, dropout a mask and the head the dropped values.
    assert 4 * 100 <= large.activations - small.activations <= 4 * 4 * 100


def test_tables_have_the_look_ups_of_their_columns() -> None:
    (table,) = work({"name": "mlp", "embedding_dim": 4}).tables
    lookups = (Lookups(1000, 1), Lookups(500, 6))
    assert table == WeightTable("input.embed.tables.4", 1500, 4, 4, 4, lookups)


def test_a_wide_side_has_rows_of_its_own_for_every_column() -> None:
    found = work({"name": "wide_deep", "embedding_dim": 4})
    wide = next(t for t in found.tables if t.width == 1)
    lookups = (Lookups(1000, 1), Lookups(500, 1), Lookups(500, 5))
    assert wide == WeightTable("wide.weight", 2000, 1, 4, 8, lookups)


@pytest.mark.parametrize(
    ("training", "devices", "columns", "state"),
    [
        (FUSED, 2, 4, 4),
        (FUSED | {"embedding_optimizer": "adagrad"}, 2, 4, 16),
        (FUSED | {"clip_norm": 1.0}, 2, 8, 4),
        (FUSED | {"clip_norm": 1.0}, 1, 4, 4),
        (FUSED | {"embedding_weight_decay": 0.1}, 2, 8, 8),
        ({"embedding_optimizer": "lazy_adam", "clip_norm": None}, 2, 8, 36),
    ],
)
def test_optimisers_have_their_state_and_gradients(
    training: dict[str, Any], devices: int, columns: int, state: int
) -> None:
    found = work({"name": "mlp", "embedding_dim": 4}, devices=devices, training=training)
    assert (found.tables[0].columns, found.tables[0].state) == (columns, state)
    if devices > 1:
        assert is_fused(Training(**training)) == (columns == 4)


def test_fused_kernels_need_a_width_that_is_a_multiple_of_4() -> None:
    (table,) = work({"name": "mlp", "embedding_dim": 6}).tables
    assert table.columns == 12


def test_a_retriever_compares_vectors_of_the_whole_batch() -> None:
    recipe = Recipe.model_validate(
        {
            "schema": {"columns": COLUMNS},
            "model": {"item": ["item"], "dim": 24, "embedding_dim": 8},
            "retrieval": {"item": "item", "user": "user"},
        }
    )
    layout = sized_layout(recipe, None, ids=None, list_length=None)
    found = work_of(recipe, layout, devices=2)
    assert found.compared == 24
    assert found.operations == 2 * ((8 + 8 + 2) * 24 + 8 * 24)
