from typing import Any

import pytest

from crosstower.errors import RecipeError
from crosstower.fitting.plan.devices import DEVICES
from crosstower.fitting.plan.planning import LIBRARIES, RESERVED, plan_training
from crosstower.recipe.recipe import Recipe


def recipe(**training: Any) -> Recipe:
    columns = {
        "user": "categorical",
        "item": {"kind": "categorical", "hash_buckets": 1_000_000},
    }
    schema = {"columns": columns, "tasks": {"click": "binary"}}
    chosen = {"embedding_optimizer": "rowwise_adagrad", "clip_norm": None, **training}
    return Recipe.model_validate({"schema": schema, "training": chosen})


def test_a_plan_for_gpus() -> None:
    plan = plan_training(recipe(), device=DEVICES["a100"], devices=16, ids=10**9, batch_size=65_536)
    assert (plan.nodes, plan.ids, plan.batch_size) == (2, 10**9, 65_536)
    assert plan.memory["tables"] == 10**9 // 16 * 16 * 4
    assert plan.memory["state"] == 10**9 // 16 * 4
    assert plan.memory_available == 80e9 * (1 - RESERVED)
    assert plan.fits
    assert plan.tables[0].bytes_per_device == 10**9 // 16 * (16 * 4 + 4)
    assert plan.seconds_per_step is not None
    seconds = sum(plan.seconds_per_step.values())
    assert plan.rows_per_second == pytest.approx(65_536 / seconds)


def test_a_plan_for_processes_has_their_libraries_and_no_rate() -> None:
    plan = plan_training(recipe(batch_size=512), device=None, devices=2, ids=10**7)
    assert plan.memory["libraries"] == LIBRARIES
    assert plan.seconds_per_step is plan.rows_per_second is None
    assert plan.batch_size == 512
    assert plan.memory_needed == sum(plan.memory.values())


def test_products_are_in_bfloat16_unless_the_recipe_says_otherwise() -> None:
    def compute(**training: Any) -> float:
        plan = plan_training(recipe(**training), device=DEVICES["h100"], devices=1, ids=10**7)
        assert plan.seconds_per_step is not None
        return plan.seconds_per_step["compute"]

    ratio = compute(precision="float32") / compute()
    assert ratio == pytest.approx(989 / 495)


def test_a_column_has_no_more_codes_than_can_be_counted() -> None:
    match = r"column 'user' would have 2,9\d\d,\d\d\d,\d\d\d codes; the most are 2,147,483,648"
    with pytest.raises(RecipeError, match=match):
        plan_training(recipe(), device=None, devices=2, ids=3 * 10**9)
