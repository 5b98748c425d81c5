"""BST against its formula in float64: the whole block over history and candidate."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from crosstower.errors import RecipeError
from crosstower.nn.bst import BehaviourTransformer

B, L, D, HEADS = 5, 7, 8, 2
COUNTS = torch.tensor([7, 3, 1, 0, 5])
PRESENT = torch.arange(L) < COUNTS.unsqueeze(1)
Floats = NDArray[np.float64]


def layer() -> BehaviourTransformer:
    torch.manual_seed(1)
    found = BehaviourTransformer(D, L, heads=HEADS).double().eval()
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return found


def inputs() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    draw = [torch.randn(*shape, generator=random) for shape in ((B, D), (B, L, D))]
    return draw[0].double(), draw[1].double()


def arrays(attend: BehaviourTransformer) -> dict[str, Floats]:
    return {name: value.numpy() for name, value in attend.state_dict().items()}


def norm(x: Floats, weight: Floats, bias: Floats) -> Floats:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * weight + bias


def oracle(attend: BehaviourTransformer, v: Floats, history: Floats) -> Floats:
    """Every position of [history, candidate] through the block; the last one is read."""
    p, n, width = arrays(attend), len(history), D // HEADS
    s = np.concatenate([history, v[None]]) * np.sqrt(D) + p["distance"][np.arange(n, -1, -1)]
    q, k, values = np.split(s @ p["project.weight"].T + p["project.bias"], 3, axis=1)
    heads = []
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        weights = softmax(q[:, part] @ k[:, part].T / np.sqrt(width), axis=1)
        heads.append(weights @ values[:, part])
    attended = np.concatenate(heads, 1) @ p["out.weight"].T + p["out.bias"]
    y = norm(s + attended, p["between.weight"], p["between.bias"])
    hidden = y @ p["feed_forward.0.weight"].T + p["feed_forward.0.bias"]
    hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    y = y + hidden @ p["feed_forward.2.weight"].T + p["feed_forward.2.bias"]
    return norm(y, p["after.weight"], p["after.bias"])[-1]


def test_the_candidate_is_read_after_one_block() -> None:
    attend, (target, rows) = layer(), inputs()
    found = attend(target, rows, PRESENT).detach().numpy()
    for i, count in enumerate(COUNTS.tolist()):
        expected = oracle(attend, target[i].numpy(), rows[i, :count].numpy())
        expected = expected if count else np.zeros(D)
        np.testing.assert_allclose(found[i], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_candidates_that_share_a_history_are_as_each_alone(count: int) -> None:
    attend, (target, rows) = layer(), inputs()
    present = torch.arange(L).unsqueeze(0) < count
    together = attend(target, rows[:1], present)
    each = [attend(target[i : i + 1], rows[:1], present) for i in range(B)]
    torch.testing.assert_close(together, torch.cat(each))


def test_padding_does_not_matter() -> None:
    attend, (target, rows) = layer(), inputs()
    other = rows.masked_fill(~PRESENT.unsqueeze(-1), 99.0)
    torch.testing.assert_close(attend(target, rows, PRESENT), attend(target, other, PRESENT))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(RecipeError, match="heads: expected a divisor of the embedding width 8"):
        BehaviourTransformer(D, L, heads=3)
