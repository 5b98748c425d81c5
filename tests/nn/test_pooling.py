import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crosstower.data.ragged import Ragged
from crosstower.nn.pooling import AttentionPool, GruPool, max_pool, ragged_max

B, L, D = 5, 7, 8
COUNTS = torch.tensor([7, 3, 1, 0, 5])
PRESENT = torch.arange(L) < COUNTS.unsqueeze(1)


def rows() -> Tensor:
    return torch.randn(B, L, D, generator=torch.Generator().manual_seed(0))


def attention() -> AttentionPool:
    torch.manual_seed(1)
    pool = AttentionPool(D, L)
    nn.init.normal_(pool.age)
    return pool.eval()


def attention_oracle(pool: AttentionPool, values: Tensor) -> Tensor:
    """One list of n values [n, D], head by head."""
    n, width = len(values), D // pool.heads
    x = torch.stack([values[i] * math.sqrt(D) + pool.age[n - 1 - i] for i in range(n)])
    normal = pool.before(x)
    q, (k, v) = pool.query(normal[-1]), pool.key_value(normal).chunk(2, -1)
    found = []
    for head in range(pool.heads):
        part = slice(head * width, (head + 1) * width)
        weights = torch.softmax(k[:, part] @ q[part] / math.sqrt(width), 0)
        found.append(weights @ v[:, part])
    y = x[-1] + pool.out(torch.cat(found))
    return pool.after(y + pool.feed_forward(pool.between(y)))


def test_attention_is_a_transformer_block_read_from_the_newest_value() -> None:
    pool, x = attention(), rows()
    found = pool(x, PRESENT)
    for i, count in enumerate(COUNTS.tolist()):
        if count:
            torch.testing.assert_close(found[i], attention_oracle(pool, x[i, :count]))


def test_a_gru_stops_at_the_newest_value() -> None:
    torch.manual_seed(1)
    pool, x = GruPool(D, L).eval(), rows()
    found = pool(x, PRESENT)
    for i, count in enumerate(COUNTS.tolist()):
        if count:
            states, _ = pool.gru(x[i : i + 1, :count] * math.sqrt(D))
            torch.testing.assert_close(found[i], pool.out(states[0, -1]))


@pytest.mark.parametrize("kind", ["attention", "gru"])
def test_padding_does_not_matter_and_no_value_gives_zeros(kind: str) -> None:
    pool = attention() if kind == "attention" else GruPool(D, L).eval()
    x = rows()
    other = x.masked_fill(~PRESENT.unsqueeze(-1), 99.0)
    torch.testing.assert_close(pool(x, PRESENT), pool(other, PRESENT))
    assert torch.equal(pool(x, PRESENT)[3], torch.zeros(D))
    assert pool(x, PRESENT).isfinite().all()


def test_attention_and_gru_look_at_the_order() -> None:
    x = rows()
    turned = torch.cat([x[:1, [1, 0]], x[:1, 2:]], 1)
    for pool in (attention(), GruPool(D, L).eval()):
        assert not torch.allclose(pool(x[:1], PRESENT[:1]), pool(turned, PRESENT[:1]))


def test_the_maximum_of_what_is_there() -> None:
    x = rows() - 10.0
    found = max_pool(x, PRESENT)
    torch.testing.assert_close(found[1], x[1, :3].amax(0))
    assert torch.equal(found[3], torch.zeros(D))


def test_gradients_reach_values_and_never_padding() -> None:
    x = rows().requires_grad_()
    attention()(x, PRESENT).sum().backward()
    assert x.grad is not None
    assert x.grad[~PRESENT].abs().sum() == 0
    assert F.normalize(x.grad[0], dim=-1).isfinite().all()


def test_the_maximum_of_ragged_lists_is_that_of_padded_ones() -> None:
    ragged, table = (rows().round(decimals=1).requires_grad_() for _ in range(2))  # with ties
    lists = Ragged.of(np.zeros(int(COUNTS.sum()), np.int32), COUNTS.numpy(), L)
    ours, expected = ragged_max(ragged[PRESENT], lists), max_pool(table, PRESENT)
    assert torch.equal(ours, expected)
    weights = torch.randn(B, D)
    for found in (ours, expected):
        (found * weights).sum().backward()
    torch.testing.assert_close(ragged.grad, table.grad)


def test_the_maximum_of_no_list_is_empty() -> None:
    lists = Ragged.of(np.zeros(0, np.int32), np.zeros(0, np.int64), L)
    assert ragged_max(torch.empty(0, D), lists).shape == (0, D)
