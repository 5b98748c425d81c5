"""Layouts, rows and NumPy helpers of the tests of rankers over fields."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.models.registry import build

Array = NDArray[np.float64]

CLICK, LIKE = Head("click", "binary"), Head("like", "binary")
ONE_TASK = Layout(
    codes=(CodeField("a", 20, "a"), CodeField("b", 9, "b"), CodeField("a_b", 40, "a_b", 0)),
    numbers=("x", "y"),
    lists=(ListField("tags", 12, "tags", 3),),
    heads=(CLICK,),
)
TWO_TASKS = Layout(ONE_TASK.codes, ONE_TASK.numbers, ONE_TASK.lists, (CLICK, LIKE))


def model_of(options: dict[str, Any], layout: Layout = ONE_TASK) -> Any:
    """Return a model in evaluation mode, with no parameter at zero."""
    torch.manual_seed(0)
    model = build(layout, {"embedding_dim": 4, "dropout": 0.0, **options}).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def rows(layout: Layout = ONE_TASK, count: int = 7) -> Batch:
    random = torch.Generator().manual_seed(1)
    codes = [torch.randint(3, f.size, (count,), generator=random) for f in layout.codes]
    tags = torch.randint(3, 12, (count, 3), generator=random).int()
    return Batch(
        torch.stack(codes, 1).int(),
        torch.randn(count, len(layout.numbers), generator=random),
        {"tags": tags} if layout.lists else {},
        torch.zeros(count, len(layout.heads)),
    )


def double(tensor: torch.Tensor) -> Array:
    return tensor.detach().double().numpy()


def fields_of(model: Any, batch: Batch) -> Array:
    """Return the fields [B, 5, 4] from tables and weights: a, b, tags, x, y."""
    table = double(model.input.embed.tables["4"])
    codes = batch.codes.long().numpy()
    tags = 29 + batch.lists["tags"].long().numpy()
    found = [table[codes[:, 0]], table[20 + codes[:, 1]], table[tags].mean(1)]
    if model.input.numbers is not None:
        x = double(batch.numbers)
        found += [x[:, [i]] * double(model.input.numbers.single)[i] for i in range(2)]
    return np.stack(found, axis=1)


def affine(linear: Any, x: Array) -> Array:
    bias = 0.0 if linear.bias is None else double(linear.bias)
    return x @ double(linear.weight).T + bias


def dense(mlp: Any, x: Array) -> Array:
    """Return the output of an `MLP`."""
    for layer in mlp.layers:
        if isinstance(layer, torch.nn.Linear):
            x = np.maximum(affine(layer, x), 0)
    return x


def flat(fields: Array) -> Array:
    return fields.reshape(len(fields), -1)


def agrees(model: Any, batch: Batch, expected: Array) -> None:
    """Assert that the logits of all heads are `[B, T]`."""
    found = np.stack([double(logits) for logits in model(batch).values()], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
