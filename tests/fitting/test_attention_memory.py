"""Histories whose attention takes much memory are reported before rows are read."""

from typing import Any

import pytest
import torch

from crosstower.fitting.attention_memory import NOTED, attention_notes
from crosstower.fitting.recipe_checks import check_recipe
from crosstower.nn.sequences.attention import CausalAttention
from crosstower.nn.sequences.steps import Steps
from crosstower.recipe.recipe import Recipe

TIMED = {"event": "click", "by": "user", "times": True}


def recipe_of(**history: Any) -> Recipe:
    had = {"kind": "sequence", "table": "item", **history}
    data = {"events": "rows", "time": "time"} if "event" in history else {}
    columns = {"item": "categorical", "had": had}
    schema = {"columns": columns, "tasks": {"click": "binary"}}
    return Recipe.model_validate({"schema": schema, "model": "mlp", "data": data})


def test_a_long_history_is_reported_with_its_memory() -> None:
    (note,) = check_recipe(recipe_of(max_len=10_000, pooling="hstu", heads=2))[2]
    assert note.startswith("had: pooling hstu takes up to 763 MiB per history of a batch and block")
    (note,) = check_recipe(recipe_of(max_len=10_000, pooling="hstu", heads=2, **TIMED))[2]
    assert note.startswith("had: pooling hstu takes up to 1,526 MiB per history of a batch")
    assert "(max_len 10,000); set a lower max_len, or pooling target, gru or attention" in note


@pytest.mark.parametrize("pooling", ["target", "bst", "gru", "attention", "mean"])
def test_poolings_of_linear_memory_are_not_reported(pooling: str) -> None:
    assert attention_notes(recipe_of(max_len=100_000, pooling=pooling).schema_) == []


@pytest.mark.parametrize(("heads", "longest"), [(1, 4096), (4, 2048)])
def test_the_longest_history_that_is_not_reported(heads: int, longest: int) -> None:
    for length, count in ((longest, 0), (longest + 1, 1)):
        recipe = recipe_of(max_len=length, pooling="transformer", heads=heads)
        assert len(attention_notes(recipe.schema_)) == count


def test_attention_keeps_a_matrix_of_this_size_per_history() -> None:
    """The tensors that autograd keeps hold at least one `[heads, L, L]` of 4 bytes per history."""
    sizes = list[int]()

    def kept(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    attend, present = CausalAttention(8, heads=2, dropout=0.1), torch.ones(3, 50, dtype=torch.bool)
    with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
        attend(torch.ones(3, 50, 8), Steps.of(present))
    assert max(sizes) == 3 * 4 * 2 * 50**2
    assert NOTED == 4 * 4096**2 / 2**20
