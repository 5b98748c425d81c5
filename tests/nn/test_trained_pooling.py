"""Encoders of histories as pooling: at the newest value, and at every prefix."""

import re

import numpy as np
import pytest
import torch

from crosstower.data.layout import ListField
from crosstower.data.prefixes import Prefixes
from crosstower.data.ragged import Ragged
from crosstower.errors import RecipeError
from crosstower.nn.embedding import EmbeddingStore
from crosstower.nn.pooling import AttentionPool
from crosstower.nn.trained_pooling import SequencePool, build_pooling, trains_every_position

NAMES = ["transformer", "bsarec", "hstu"]


def field(pooling: str, **options: float) -> ListField:
    return ListField("had", 20, "item", 9, pooling, options=tuple(options.items()))


@pytest.mark.parametrize("name", NAMES)
def test_prefixes_have_the_outputs_and_gradients_of_lists_of_their_own(name: str) -> None:
    random = np.random.default_rng(0)
    counts = np.array([9, 0, 1, 5, 8, 3] * 20)
    codes = random.integers(3, 20, counts.sum()).astype(np.int32)
    whole = Ragged.of(codes, counts, 9)
    group = torch.from_numpy(np.repeat(np.arange(len(counts)), counts + 1))
    sizes = torch.from_numpy(np.concatenate([np.arange(c + 1) for c in counts]))
    shared = Prefixes.of(whole, group=group, sizes=sizes)
    assert shared.values.shape[0] > 1  # in several rows
    found = list[tuple[torch.Tensor, dict[str, torch.Tensor]]]()
    for lists in (shared, shared.apart(), shared.padded(12)):
        torch.manual_seed(0)
        store = EmbeddingStore([], [field(name)], dim=8, dropout=0.0).double()
        outputs = store(torch.empty(len(group), 0), {"had": lists})
        outputs.square().sum().backward()
        gradients = {
            n: p.grad.to_dense() for n, p in store.named_parameters() if p.grad is not None
        }
        found.append((outputs.detach(), gradients))
    assert (found[0][0][sizes == 0] == 0).all()
    for outputs, gradients in found[1:]:
        torch.testing.assert_close(outputs, found[0][0])
        assert gradients.keys() == found[0][1].keys()
        for parameter, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][1][parameter])


def test_poolings_by_name() -> None:
    assert build_pooling(field("max"), 8, dropout=0.0) is None
    assert isinstance(build_pooling(field("attention"), 8, dropout=0.0), AttentionPool)
    built = build_pooling(field("bsarec", blocks=3, alpha=0.5), 8, dropout=0.0)
    assert isinstance(built, SequencePool)
    assert len(built.encoder.blocks) == 3  # type: ignore[arg-type]
    assert [trains_every_position(n) for n in ("mean", "gru", "hstu")] == [False, False, True]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            field("bsareck"),
            "schema.columns.had.pooling: no pooling 'bsareck'; did you mean 'bsarec'?",
        ),
        (field("gru", heads=2), "schema.columns.had.heads: pooling gru has no such option"),
        (field("mean", blocks=2), "schema.columns.had.blocks: pooling mean has no such option"),
        (field("transformer", alpha=0.2), "allowed: blocks, heads"),
    ],
)
def test_a_wrong_pooling_or_option_is_refused(wrong: ListField, words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        build_pooling(wrong, 8, dropout=0.0)
