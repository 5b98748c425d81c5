import numpy as np
import torch

from crosstower.data.layout import CodeField, ListField
from crosstower.nn.wide import WideLinear


def test_it_equals_one_hot_times_weights() -> None:
    codes = [(0, CodeField("a", 5, "a")), (2, CodeField("c", 4, "c"))]
    lists = [ListField("tags", 6, "tags", 3)]
    wide = WideLinear(codes, lists, numbers=2, heads=2)
    for parameter in wide.parameters():
        torch.nn.init.normal_(parameter)
    batch = torch.tensor([[3, 9, 1], [4, 9, 3]])
    numbers, tags = torch.randn(2, 2), torch.tensor([[4, 5, 0], [0, 0, 0]])
    hot = np.zeros((2, 15))
    hot[[0, 1], [3, 4]] = 1
    hot[[0, 1], [5 + 1, 5 + 3]] = 1
    hot[0, [9 + 4, 9 + 5]] = 0.5
    p = {n: v.detach().double().numpy() for n, v in wide.named_parameters()}
    expected = hot @ p["weight"] + numbers.double().numpy() @ p["number_weight"] + p["bias"]
    out = wide(batch, numbers, {"tags": tags}).detach()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


def test_it_starts_at_zero() -> None:
    wide = WideLinear([(0, CodeField("a", 5, "a"))], [], numbers=1, heads=1)
    assert not wide(torch.tensor([[3]]), torch.ones(1, 1), {}).any()


def test_numbers_alone_and_nothing_at_all() -> None:
    empty = torch.empty(2, 0, dtype=torch.int32)
    numbers = WideLinear([], [], numbers=2, heads=1)
    torch.nn.init.ones_(numbers.number_weight)  # type: ignore[arg-type]
    assert numbers(empty, torch.tensor([[1.0, 2.0], [3.0, 4.0]]), {}).tolist() == [[3.0], [7.0]]
    bias = WideLinear([], [], numbers=0, heads=3)
    assert bias(empty, torch.empty(2, 0), {}).shape == (2, 3)
