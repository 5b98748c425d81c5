import torch

from .rankers import affine, agrees, dense, double, fields_of, flat, model_of, rows

OPTIONS = {
    "name": "wukong",
    "layers": 3,
    "machine_fields": 2,
    "linear_fields": 1,
    "rank": 2,
    "machine_hidden": [4],
    "hidden": [6],
}


def test_an_mlp_reads_the_fields_of_the_last_layer() -> None:
    """The layer is pinned in tests/nn/test_wukong_layer.py."""
    model, batch = model_of(OPTIONS), rows()
    x = torch.from_numpy(fields_of(model, batch))
    for layer in model.layers.double():
        x = layer(x)
    assert x.shape == (7, 3, 4)
    expected = affine(model.head, dense(model.mlp, flat(double(x))))
    agrees(model.float(), batch, expected)


def test_only_the_first_layer_reads_the_columns() -> None:
    assert [layer.linear.in_features for layer in model_of(OPTIONS).layers] == [5, 3, 3]
