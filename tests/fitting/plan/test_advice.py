import re
from typing import Any

import pytest

from crosstower.fitting.plan.devices import DEVICES
from crosstower.fitting.plan.planning import plan_training
from crosstower.recipe.recipe import Recipe


def advice(
    *, devices: int, ids: int = 10**9, gpu: str | None = "a100", batch: int = 65_536, **options: Any
) -> str:
    schema = {"columns": {"user": options.pop("user", "categorical")}, "tasks": {"click": "binary"}}
    model = {"name": "dcn_v2", "embedding_dim": options.pop("dim", 64)}
    recipe = Recipe.model_validate({"schema": schema, "model": model, "training": options})
    device = None if gpu is None else DEVICES[gpu]
    found = plan_training(recipe, device=device, devices=devices, ids=ids, batch_size=batch)
    return "\n".join(found.advice)


FUSED = {"embedding_optimizer": "rowwise_adagrad", "clip_norm": None}


def test_what_does_not_fit_says_how_many_devices_do() -> None:
    words = advice(devices=2, **FUSED)  # 260 GB
    assert re.search(r"does not fit: 130\.\d GB of 68\.0 GB per device\n4 such devices hold", words)
    assert words.count("does not fit") == 1
    assert "fits: 96% of the usable memory" in advice(devices=4, **FUSED)


def test_what_no_number_of_devices_holds_says_so() -> None:
    words = advice(devices=8, gpu="l4", batch=10**11, **FUSED)
    assert "no number of devices up to 4,096 is enough" in words


def test_lazy_adam_names_what_row_wise_adagrad_saves() -> None:
    words = advice(devices=8)
    # per id: two moments of 64 floats and a step against one float
    assert f"saves {10**9 / 8 * (2 * 64 * 4 + 4 - 4) / 1e9:.2f} GB of state on each device" in words
    assert "let FBGEMM update tables" in words
    assert "lazy_adam" not in advice(devices=8, ids=1000)  # nothing to save
    plain = advice(devices=8, **FUSED)
    assert "lazy_adam" not in plain
    assert "FBGEMM" not in plain


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": 8, "batch": 1024}, "the fixed part of a step is the largest"),
        ({"devices": 64, "batch": 10**8}, "exchanging bytes takes most of a step"),
        ({"devices": 1, "batch": 10**7, "ids": 10**8}, "takes most of a step: a smaller embedding"),
    ],
)
def test_the_largest_part_of_a_step_is_named(options: dict[str, Any], words: str) -> None:
    assert words in advice(**options, **FUSED)


def test_small_tables_need_no_second_device() -> None:
    assert "more devices only add speed" in advice(devices=2, ids=10**6, **FUSED)
    assert "one device holds all tables" in advice(devices=1, ids=10**6, **FUSED)
    assert "only add speed" not in advice(devices=8, **FUSED)


def test_a_large_vocabulary_asks_for_hash_buckets() -> None:
    assert "set hash_buckets on user" in advice(devices=8, **FUSED)
    assert "hash_buckets" not in advice(devices=8, ids=10**6, **FUSED)
