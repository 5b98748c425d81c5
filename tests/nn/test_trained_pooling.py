"""Encoders of histories as pooling: at the newest value, and at every prefix."""

import re
from dataclasses import replace

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


def test_prefixes_with_times_have_the_outputs_of_lists_of_their_own() -> None:
    random = np.random.default_rng(0)
    counts = np.array([9, 1, 5, 8, 3] * 20)
    codes = random.integers(3, 20, counts.sum()).astype(np.int32)
    starts = np.concatenate([[0], counts.cumsum()[:-1]])
    times = [np.exp(random.uniform(0, 15, c + 1)).astype(np.int64).cumsum() for c in counts]
    whole = Ragged.of(codes, counts, 9)
    ages = Ragged.of(np.concatenate([t[-1] - t[:-1] for t in times]), counts, 9)
    group = torch.from_numpy(np.repeat(np.arange(len(counts)), counts + 1))
    sizes = torch.from_numpy(np.concatenate([np.arange(c + 1) for c in counts]))
    shared = {
        "had": Prefixes.of(whole, group=group, sizes=sizes),
        "ages": Prefixes.of(ages, group=group, sizes=sizes),
    }
    pairs = [(g, n) for g, c in enumerate(counts) for n in range(c + 1)]
    own = {
        "had": Ragged.of(
            np.concatenate([codes[starts[g] : starts[g] + n] for g, n in pairs]),
            np.array([n for _, n in pairs]),
            9,
        ),
        "ages": Ragged.of(
            np.concatenate([times[g][n] - times[g][:n] for g, n in pairs]),
            np.array([n for _, n in pairs]),
            9,
        ),
    }
    store = EmbeddingStore([], [replace(field("hstu"), ages="ages")], dim=8, dropout=0.0).double()
    for parameter in store.pools.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    nothing = torch.empty(len(group), 0)
    expected = store(nothing, own)
    torch.testing.assert_close(store(nothing, shared), expected)
    plain = store(nothing, {n: c.padded(12) for n, c in own.items()})
    torch.testing.assert_close(plain, expected)


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
        (
            replace(field("bsarec"), ages="ages"),
            "schema.columns.had.times: pooling bsarec has no such option",
        ),
        (
            replace(field("target"), ages="ages", target="item"),
            "schema.columns.had.times: pooling target has no such option",
        ),
        (
            replace(field("gru"), ages="ages"),
            "schema.columns.had.times: pooling gru has no such option",
        ),
    ],
)
def test_a_wrong_pooling_or_option_is_refused(wrong: ListField, words: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(words)):
        build_pooling(wrong, 8, dropout=0.0)
