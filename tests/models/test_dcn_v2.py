from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crosstower.data.batch import Batch
from crosstower.data.layout import CodeField, Head, Layout, ListField
from crosstower.errors import RecipeError
from crosstower.models.registry import build
from crosstower.nn.cross import CrossLowRank

LAYOUT = Layout((CodeField("a", 6, "a"),), ("x",), (), (Head("click", "binary"),))
BATCH = Batch(torch.tensor([[3], [4]]).int(), torch.tensor([[0.5], [-1.0]]), {}, torch.zeros(2, 1))


def cross(model: torch.nn.Module, x0: torch.Tensor) -> torch.Tensor:
    x = x0
    for layer in model.body.cross.layers:
        x = x0 * (x @ layer.linear.weight.T + layer.linear.bias) + x
    return x


@pytest.mark.parametrize("structure", ["stacked", "parallel", "stacked_with_input"])
def test_structures_are_those_of_the_paper(structure: str) -> None:
    torch.manual_seed(0)
    model = build(LAYOUT, {"name": "dcn_v2", "structure": structure, "dropout": 0.0})
    x0 = model.input(BATCH.codes, BATCH.numbers, {})
    crossed, mlp = cross(model, x0), model.body.mlp
    body = {
        "stacked": lambda: mlp(crossed),
        "parallel": lambda: torch.cat([crossed, mlp(x0)], 1),
        "stacked_with_input": lambda: mlp(torch.cat([crossed, x0], 1)),
    }[structure]()
    torch.testing.assert_close(model(BATCH)["click"], model.head(body)[:, 0])


def test_the_rank_defaults_to_a_quarter_of_the_width() -> None:
    model = build(LAYOUT, {"name": "dcn_v2", "cross": "low_rank", "cross_layers": 3})
    layers = list(model.body.cross.layers)
    assert [type(layer) for layer in layers] == [CrossLowRank] * 3
    assert layers[0].down.weight.shape == (17 // 4, 17)


DLRM = Layout(
    codes=(CodeField("a", 20, "a"),),
    numbers=("x", "y", "z"),
    lists=(ListField("b", 30, "b", 3, "sum"),),
    heads=(Head("click", "binary"),),
)
OPTIONS: dict[str, Any] = {
    "name": "dcn_v2",
    "embedding_dim": 8,
    "numbers_hidden": [6, 8],
    "cross": "low_rank",
    "rank": 5,
    "cross_layers": 3,
    "structure": "stacked",
    "hidden": [7, 4],
    "dropout": 0.0,
}
"""DLRM-DCNv2 in small: the bottom MLP ends in the width of the embeddings."""


def dlrm_batch() -> Batch:
    random = torch.Generator().manual_seed(1)
    return Batch(
        codes=torch.randint(3, 20, (9, 1), generator=random).int(),
        numbers=torch.randn(9, 3, generator=random),
        lists={"b": torch.randint(3, 30, (9, 3), generator=random).int()},
        labels=torch.zeros(9, 1),
    )


def dlrm() -> torch.nn.Module:
    torch.manual_seed(0)
    return build(DLRM, OPTIONS)


def dense_layers(module: torch.nn.Module) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return weight and bias of each linear layer, in float64."""
    linears = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    return [(m.weight.detach().double().numpy(), m.bias.detach().double().numpy()) for m in linears]


def test_dlrm_dcnv2_follows_its_figure() -> None:
    model, batch = dlrm(), dlrm_batch()
    table = model.input.embed.tables["8"].detach().double().numpy()
    single = table[batch.codes[:, 0]]
    summed = table[20 + batch.lists["b"].numpy()].sum(1)
    bottom = batch.numbers.double().numpy()
    for weight, bias in dense_layers(model.input.numbers):
        bottom = np.maximum(bottom @ weight.T + bias, 0)
    x0 = np.concatenate([single, summed, bottom], axis=1)
    x = x0
    for layer in model.body.cross.layers:
        down, up = (m.weight.detach().double().numpy() for m in (layer.down, layer.up))
        x = x0 * (x @ down.T @ up.T + layer.up.bias.detach().double().numpy()) + x
    for weight, bias in dense_layers(model.body.mlp):
        x = np.maximum(x @ weight.T + bias, 0)
    ((weight, bias),) = dense_layers(model.head)
    expected = (x @ weight.T + bias)[:, 0]
    np.testing.assert_allclose(model(batch)["click"].detach(), expected, rtol=1e-5, atol=1e-6)


def test_dlrm_dcnv2_equals_that_of_torchrec() -> None:
    torchrec = pytest.importorskip("torchrec", reason="torchrec is not installed")
    from torchrec.models.dlrm import DLRM_DCN

    model, batch = dlrm(), dlrm_batch()
    configs = [
        torchrec.EmbeddingBagConfig(
            name=name, embedding_dim=8, num_embeddings=size, feature_names=[name]
        )
        for name, size in (("a", 20), ("b", 30))
    ]
    peer = DLRM_DCN(
        torchrec.EmbeddingBagCollection(tables=configs),
        dense_in_features=3,
        dense_arch_layer_sizes=[6, 8],
        over_arch_layer_sizes=[7, 4, 1],
        dcn_num_layers=3,
        dcn_low_rank_dim=5,
    )
    copy_weights(model, peer)
    values = torch.cat([batch.codes[:, 0], batch.lists["b"].flatten()])
    lengths = torch.cat([torch.ones(9, dtype=torch.int64), torch.full((9,), 3)])
    lists = torchrec.KeyedJaggedTensor(["a", "b"], values.long(), lengths=lengths)
    expected = peer(dense_features=batch.numbers, sparse_features=lists)[:, 0]
    torch.testing.assert_close(model(batch)["click"], expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def copy_weights(model: Any, peer: Any) -> None:
    """Copy the weights of our DLRM-DCNv2 into torchrec's, which puts the numbers first."""

    def moved(rows: torch.Tensor) -> torch.Tensor:  # along W: embeddings, numbers -> numbers first
        return torch.cat([rows[-8:], rows[:-8]])

    table = model.input.embed.tables["8"]
    bags = peer.sparse_arch.embedding_bag_collection.embedding_bags
    bags["a"].weight.copy_(table[:20])
    bags["b"].weight.copy_(table[20:])
    copy_layers(model.input.numbers, peer.dense_arch)
    cross = peer.inter_arch.crossnet
    for number, layer in enumerate(model.body.cross.layers):
        cross.V_kernels[number].copy_(moved(layer.down.weight.T).T)
        cross.W_kernels[number].copy_(moved(layer.up.weight))
        cross.bias[number].copy_(moved(layer.up.bias))
    copy_layers(torch.nn.ModuleList([model.body.mlp, model.head]), peer.over_arch)
    first = next(m for m in peer.over_arch.modules() if isinstance(m, torch.nn.Linear))
    first.weight.copy_(moved(first.weight.T.clone()).T)


def copy_layers(ours: torch.nn.Module, theirs: torch.nn.Module) -> None:
    pairs = [
        [m for m in part.modules() if isinstance(m, torch.nn.Linear)] for part in (ours, theirs)
    ]
    for one, other in zip(*pairs, strict=True):
        other.weight.copy_(one.weight)
        other.bias.copy_(one.bias)


def test_layers_over_numbers_need_numbers() -> None:
    layout = Layout((CodeField("a", 6, "a"),), (), (), (Head("click", "binary"),))
    with pytest.raises(RecipeError, match=r"model\.numbers_hidden: \[4\] given.*remove the key"):
        build(layout, {"name": "dcn_v2", "numbers_hidden": [4]})
