import numpy as np
import pytest

from .rankers import affine, agrees, dense, double, model_of, rows

OPTIONS = {"name": "gdcn", "hidden": [6, 3], "cross_layers": 3}


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_crosses_are_gated_and_combined_as_in_the_paper(structure: str) -> None:
    model, batch = model_of(OPTIONS | {"structure": structure}), rows()
    x0 = double(model.input(batch.codes, batch.numbers, batch.lists))
    x = x0
    for layer in model.body.cross.layers:
        x = x0 * affine(layer.linear, x) / (1 + np.exp(-affine(layer.gate, x))) + x
    deep = dense(model.body.mlp, x if structure == "stacked" else x0)
    body = deep if structure == "stacked" else np.concatenate([x, deep], axis=1)
    agrees(model, batch, affine(model.head, body))
