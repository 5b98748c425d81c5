import numpy as np
import pytest
import torch

from crosstower.errors import RecipeError

from .rankers import affine, agrees, dense, double, fields_of, flat, model_of, rows

OPTIONS = {"name": "masknet", "hidden": [6, 3]}


def parts_of(model: torch.nn.Module, fields: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalised fields and embeddings; both layers have tests in tests/nn."""
    x = torch.from_numpy(fields)
    return model.norm.double()(x), x.flatten(1)


def test_serial_blocks_read_the_block_below_and_the_embeddings() -> None:
    model, batch = model_of(OPTIONS), rows()
    x, embeddings = parts_of(model, fields_of(model, batch))
    for block in model.body.blocks.double():
        x = block(x, embeddings)
    expected = affine(model.head, double(x))
    agrees(model.float(), batch, expected)


def test_an_mlp_reads_all_parallel_blocks() -> None:
    options = OPTIONS | {"structure": "parallel", "blocks": 2, "block_width": 5}
    model, batch = model_of(options), rows()
    x, embeddings = parts_of(model, fields_of(model, batch))
    blocks = [double(block(x, embeddings)) for block in model.body.blocks.double()]
    expected = affine(model.head, dense(model.body.mlp, np.concatenate(blocks, axis=1)))
    assert [block.shape for block in blocks] == [(7, 5)] * 2
    agrees(model.float(), batch, expected)


def test_a_stack_of_masks_narrows() -> None:
    widths = [(b.hidden.in_features, b.hidden.out_features) for b in model_of(OPTIONS).body.blocks]
    assert widths == [(5 * 4, 6), (6, 3)]


def test_the_ratio_is_that_of_the_masks_hidden_layer() -> None:
    model = model_of(OPTIONS | {"reduction_ratio": 0.5})
    assert [b.mask[0].out_features for b in model.body.blocks] == [10, 3]


def test_options_of_parallel_blocks_need_them() -> None:
    with pytest.raises(RecipeError, match="block_width, blocks: only with structure: parallel"):
        model_of(OPTIONS | {"blocks": 2, "block_width": 8})


def test_fields_are_flat_in_the_order_of_the_input() -> None:
    model, batch = model_of(OPTIONS), rows()
    fields = model.input(batch.codes, batch.numbers, batch.lists)
    np.testing.assert_allclose(
        double(fields.flatten(1)), flat(fields_of(model, batch)), rtol=1e-5, atol=1e-6
    )
