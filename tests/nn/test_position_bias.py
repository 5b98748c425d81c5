"""The shift of a bias tower against its formula, and what is left of it outside training."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from crosstower.data.batch import Batch
from crosstower.data.layout import MISSING, CodeField, Head, Layout, ListField
from crosstower.models.registry import build
from crosstower.nn.position_bias import PositionBias
from crosstower.recipe.bias import Bias

LAYOUT = Layout(
    (CodeField("user", 9, "user"), CodeField("position", 8, "position"), CodeField("item", 7, "i")),
    ("age", "slot", "slot is missing"),
    (ListField("tags", 6, "tags", 3),),
    (Head("click", "binary"), Head("buy", "binary")),
    ("age", "slot", "slot"),
)
BIAS = Bias(columns=["position", "slot"], hidden=[5], dim=3)


def model(dropout: float = 0.1) -> PositionBias:
    torch.manual_seed(0)
    bias = BIAS.model_copy(update={"dropout": dropout})
    found = build(LAYOUT, {"name": "mlp", "dropout": 0.0}, bias)
    assert isinstance(found, PositionBias)
    torch.nn.init.normal_(found.input.embed.tables["3"])
    return found


def batch(rows: int = 40) -> Batch:
    random = torch.Generator().manual_seed(1)
    codes = [torch.randint(3, f.size, (rows,), generator=random) for f in LAYOUT.codes]
    tags = torch.randint(3, 6, (rows, 3), generator=random).int()
    numbers = torch.randn(rows, 3, generator=random)
    return Batch(torch.stack(codes, 1).int(), numbers, {"tags": tags}, torch.zeros(rows, 2))


def without(rows: Batch) -> Batch:
    return replace(rows, codes=rows.codes[:, [0, 2]], numbers=rows.numbers[:, :1])


def tower(found: PositionBias, codes: Tensor, numbers: Tensor) -> np.ndarray:
    """The tower in float64: an embedding, one layer of ReLU, one logit per task."""
    table = found.input.embed.tables["3"].detach().double().numpy()
    x = np.concatenate([table[codes.numpy()], numbers.double().numpy()], 1)
    layer = next(m for m in found.mlp.modules() if isinstance(m, torch.nn.Linear))
    for linear, last in ((layer, False), (found.head, True)):
        weight, offset = (p.detach().double().numpy() for p in linear.parameters())
        x = x @ weight.T + offset
        x = x if last else np.maximum(x, 0)
    return x


def test_training_adds_the_tower_per_task() -> None:
    found, rows = model(dropout=1e-9).train(), batch()
    main = found.main(without(rows))
    shift = tower(found, rows.codes[:, 1], rows.numbers[:, 1:])
    for i, (name, logits) in enumerate(found(rows).items()):
        np.testing.assert_allclose(
            (logits - main[name]).detach(), shift[:, i], rtol=1e-4, atol=1e-5
        )


def test_some_training_rows_have_no_bias_columns() -> None:
    found, rows = model(dropout=0.5).train(), batch(400)
    main = found.main(without(rows))
    shift = (found(rows)["click"] - main["click"]).detach()
    dropped = torch.isclose(shift, found.constant()[0, 0].detach(), atol=1e-6)
    assert 120 < int(dropped.sum()) < 280


def test_outside_training_the_shift_is_that_of_missing_columns() -> None:
    found, rows = model().eval(), batch()
    missing = torch.full((40,), MISSING)
    shift = tower(found, missing, torch.zeros(40, 2))
    main, served = found.main(without(rows)), found.served()
    for i, (name, logits) in enumerate(found(rows).items()):
        np.testing.assert_allclose(
            (logits - main[name]).detach(), shift[:, i], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(served(without(rows))[name], logits)
    assert set(served.state_dict()) == {f"main.{n}" for n in found.main.state_dict()} | {"shift"}


def test_every_parameter_learns() -> None:
    found, rows = model().train(), batch()
    sum(logits.square().sum() for logits in found(rows).values()).backward()  # type: ignore[union-attr]
    for name, parameter in found.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.to_dense().any(), name
