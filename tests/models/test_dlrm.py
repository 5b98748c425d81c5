from dataclasses import replace
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError

from .rankers import ONE_TASK, affine, agrees, dense, double, fields_of, model_of, rows

OPTIONS = {"name": "dlrm", "hidden": [6, 3]}
CODED = replace(ONE_TASK, numbers=())
SUMMED = replace(ONE_TASK.lists[0], pooling="sum")


def pairs_of(fields: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.stack([(fields[:, i] * fields[:, j]).sum(1) for i, j in pairs], axis=1)


@pytest.mark.parametrize("with_itself", [False, True])
def test_the_top_reads_the_numbers_and_all_dot_products(with_itself: bool) -> None:
    options = OPTIONS | {"numbers_hidden": [5], "self_interaction": with_itself}
    model, batch = model_of(options), rows()
    bottom = dense(model.bottom, double(batch.numbers))  # 2 -> 5 -> 4
    fields = np.concatenate([bottom[:, None], fields_of(model, batch)], axis=1)  # [7, 4, 4]
    choose = combinations_with_replacement if with_itself else combinations
    dots = pairs_of(fields, list(choose(range(4), 2)))
    top = dense(model.top, np.concatenate([bottom, dots], axis=1))
    agrees(model, batch, affine(model.head, top))


def test_without_numbers_the_top_reads_dot_products_alone() -> None:
    model, batch = model_of(OPTIONS, CODED), rows(CODED)
    dots = pairs_of(fields_of(model, batch), list(combinations(range(3), 2)))
    agrees(model, batch, affine(model.head, dense(model.top, dots)))


@pytest.mark.parametrize(
    ("given", "widths"),
    [(None, [64, 4]), ((), [4]), ((8,), [8, 4]), ((8, 4), [8, 4]), ((4,), [4])],
)
def test_the_bottom_ends_with_the_width_of_embeddings(given: object, widths: list[int]) -> None:
    options = OPTIONS if given is None else OPTIONS | {"numbers_hidden": given}
    linears = [layer for layer in model_of(options).bottom.layers if hasattr(layer, "weight")]
    assert [layer.out_features for layer in linears] == widths


def test_layers_over_numbers_need_numbers() -> None:
    with pytest.raises(RecipeError, match=r"model\.numbers_hidden: \[8\] given.*remove the key"):
        model_of(OPTIONS | {"numbers_hidden": [8]}, CODED)


def test_one_column_has_no_pair() -> None:
    alone = replace(CODED, lists=(), codes=ONE_TASK.codes[1:])  # b, and a cross without vectors
    with pytest.raises(RecipeError, match="pairs of columns, got 1; declare at least two"):
        model_of(OPTIONS, alone)


def test_it_equals_that_of_torchrec() -> None:
    torchrec = pytest.importorskip("torchrec", reason="torchrec is not installed")
    from torchrec.models.dlrm import DLRM

    layout = replace(ONE_TASK, codes=ONE_TASK.codes[:1], lists=(SUMMED,))
    model, batch = model_of(OPTIONS | {"numbers_hidden": [5, 4]}, layout), rows(layout)
    configs = [
        torchrec.EmbeddingBagConfig(
            name=name, embedding_dim=4, num_embeddings=size, feature_names=[name]
        )
        for name, size in (("a", 20), ("tags", 12))
    ]
    peer = DLRM(
        torchrec.EmbeddingBagCollection(tables=configs),
        dense_in_features=2,
        dense_arch_layer_sizes=[5, 4],
        over_arch_layer_sizes=[6, 3, 1],
    )
    copy_weights(model, peer)
    values = torch.cat([batch.codes[:, 0], batch.lists["tags"].flatten()])
    lengths = torch.cat([torch.ones(7, dtype=torch.int64), torch.full((7,), 3)])
    lists = torchrec.KeyedJaggedTensor(["a", "tags"], values.long(), lengths=lengths)
    expected = peer(dense_features=batch.numbers, sparse_features=lists)[:, 0]
    torch.testing.assert_close(model(batch)["click"], expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def copy_weights(model: Any, peer: Any) -> None:
    table = model.input.embed.tables["4"]
    bags = peer.sparse_arch.embedding_bag_collection.embedding_bags
    bags["a"].weight.copy_(table[:20])
    bags["tags"].weight.copy_(table[20:])
    top = torch.nn.ModuleList([model.top, model.head])
    for ours, theirs in ((model.bottom, peer.dense_arch), (top, peer.over_arch)):
        layers = [
            [m for m in part.modules() if isinstance(m, torch.nn.Linear)] for part in (ours, theirs)
        ]
        for one, other in zip(*layers, strict=True):
            other.weight.copy_(one.weight)
            other.bias.copy_(one.bias)
