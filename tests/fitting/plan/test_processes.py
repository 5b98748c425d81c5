"""Plans of two processes against what two processes hold and send."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstower.fitting.plan.planning import plan_training
from crosstower.fitting.plan.result import Plan
from crosstower.recipe.loading import load_recipe
from crosstower.recipe.recipe import Recipe

from ...fixtures.processes import must_succeed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WORKER = ROOT / "benchmarks" / "scale_worker.py"
BATCH, STEPS, COLUMNS = 256, 6, 6


def measured(folder: Path, ids: int, **training: Any) -> tuple[Plan, list[dict[str, Any]]]:
    """Return the plan of a recipe and what each of two processes measured."""
    hashed = {"kind": "categorical", "hash_buckets": ids // COLUMNS - 3}
    columns: dict[str, Any] = {f"c{n}": hashed for n in range(COLUMNS)} | {"x": "numeric"}
    plain = {
        "schema": {"columns": columns, "tasks": {"click": "binary"}},
        "model": {"name": "wide_deep", "hidden": [32], "embedding_dim": 16},
        "training": {"batch_size": BATCH, "precision": "float32", **training},
    }
    folder.mkdir()
    (folder / "recipe.yaml").write_text(json.dumps(plain))
    options = ["--steps", str(STEPS), "--seed", "0", "--out", str(folder)]
    must_succeed([str(WORKER), str(folder / "recipe.yaml"), *options], 2)
    found = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    recipe: Recipe = load_recipe(folder / "recipe.yaml")
    return plan_training(recipe, device=None, devices=2), found


@pytest.mark.filterwarnings("ignore")
def test_a_plan_is_what_two_processes_hold_and_send(tmp_path: Path) -> None:
    fused = {"embedding_optimizer": "rowwise_adagrad", "clip_norm": None}
    plan, found = measured(tmp_path / "small", 6_000, **fused)
    sent = sum(plan.bytes_per_step.values())
    assert [one["bytes_per_step"] for one in found] == pytest.approx([sent] * 2, rel=0.03)

    # Also holds gradients and an average.
    large, grown = measured(tmp_path / "large", 3_000_000, ema_decay=0.99)
    sent = sum(large.bytes_per_step.values())
    assert [one["bytes_per_step"] for one in grown] == pytest.approx([sent] * 2, rel=0.03)
    more = (large.memory_needed - plan.memory_needed) / 1e6
    measured_more = [
        after["anonymous_mb"] - before["anonymous_mb"]
        for before, after in zip(found, grown, strict=True)
    ]
    assert measured_more == pytest.approx([more] * 2, rel=0.15)
