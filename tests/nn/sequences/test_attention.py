"""Attention of a history: heads, and what a value may read."""

import pytest
import torch

from crosstower.errors import RecipeError
from crosstower.nn.sequences.attention import CausalAttention
from crosstower.nn.sequences.steps import Steps

from . import oracles
from .histories import COUNTS, PRESENT, D, rows


def test_attention_reads_earlier_values_alone() -> None:
    torch.manual_seed(0)
    layer, x = CausalAttention(D, 4, dropout=0.5).eval(), rows()
    found = layer(x, Steps.of(PRESENT))
    for i, count in enumerate(COUNTS.tolist()):
        wanted = oracles.attention(layer, x[i, :count].double().numpy())
        torch.testing.assert_close(
            found[i, :count].double(), torch.from_numpy(wanted), rtol=1e-4, atol=1e-5
        )


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(RecipeError, match="heads: expected a divisor of the embedding width 8"):
        CausalAttention(8, 3, dropout=0.0)
