import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError

from .rankers import affine, agrees, dense, double, fields_of, flat, model_of, rows

OPTIONS = {"name": "autoint", "attention_width": 6, "attention_heads": 2, "hidden": [5]}


def attended(model: torch.nn.Module, fields: np.ndarray) -> np.ndarray:
    """The layers are pinned in tests/nn/test_field_attention.py."""
    x = torch.from_numpy(fields)
    for layer in model.attention.double():
        x = layer(x)
    model.attention.float()
    return double(x)


def test_the_head_reads_attention_and_the_mlp() -> None:
    model, batch = model_of(OPTIONS), rows()
    fields = fields_of(model, batch)
    deep = dense(model.mlp, flat(fields))
    both = np.concatenate([flat(attended(model, fields)), deep], axis=1)
    agrees(model, batch, affine(model.head, both))


def test_without_the_mlp_it_is_autoint() -> None:
    model, batch = model_of(OPTIONS | {"hidden": []}), rows()
    agrees(model, batch, affine(model.head, flat(attended(model, fields_of(model, batch)))))
    assert model.mlp is None


def test_the_first_layer_reads_embeddings_and_the_others_attention() -> None:
    model = model_of(OPTIONS | {"attention_layers": 3})
    assert [layer.project.in_features for layer in model.attention] == [4, 6, 6]


def test_heads_divide_the_width() -> None:
    with pytest.raises(RecipeError, match=r"attention_heads: expected a divisor of .* 6, got 4"):
        model_of(OPTIONS | {"attention_heads": 4})
