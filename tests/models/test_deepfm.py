from itertools import combinations

import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError

from .rankers import (
    ONE_TASK,
    TWO_TASKS,
    Array,
    affine,
    agrees,
    dense,
    double,
    fields_of,
    flat,
    model_of,
    rows,
)

OPTIONS = {"name": "deepfm", "hidden": [6, 3]}


def linear(model: torch.nn.Module) -> Array:
    batch = rows()
    return double(model.wide(batch.codes, batch.numbers, batch.lists))


def test_logits_are_those_of_equations_1_to_4() -> None:
    model, batch = model_of(OPTIONS), rows()
    e = fields_of(model, batch)
    second = sum((e[:, i] * e[:, j]).sum(1) for i, j in combinations(range(5), 2))
    deep = affine(model.head, dense(model.mlp, flat(e)))
    agrees(model, batch, linear(model) + np.asarray(second)[:, None] + deep)


def test_each_of_several_tasks_weights_the_second_order() -> None:
    model, batch = model_of(OPTIONS, TWO_TASKS), rows()
    e = fields_of(model, batch)
    second = np.sum([e[:, i] * e[:, j] for i, j in combinations(range(5), 2)], axis=0)
    deep = affine(model.head, dense(model.mlp, flat(e)))
    agrees(model, batch, linear(model) + second @ double(model.factors) + deep)


def test_the_second_order_has_no_weights_for_one_task() -> None:
    assert "factors" not in dict(model_of(OPTIONS).named_parameters())
    assert "factors" in dict(model_of(OPTIONS, TWO_TASKS).named_parameters())


def test_the_linear_part_is_a_wide_side_with_crosses() -> None:
    assert model_of(OPTIONS).wide.weight.shape == (20 + 9 + 40 + 12, 1)
    chosen = model_of(OPTIONS | {"wide_columns": ["a_b"], "wide_numbers": False})
    assert chosen.wide.weight.shape == (40, 1)
    assert chosen.wide.number_weight is None
    with pytest.raises(RecipeError, match=r"model\.wide_columns: no coded column 'c'"):
        model_of(OPTIONS | {"wide_columns": ["c"]}, ONE_TASK)
