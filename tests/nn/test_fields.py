"""Fields against the tables and matrices that they are made of, in float64."""

import numpy as np
import torch

from crosstower.data.layout import CodeField, Layout, ListField
from crosstower.nn.fields import FieldInput, NumberFields

LAYOUT = Layout(
    codes=(
        CodeField("user", 20, "user"),
        CodeField("city", 7, "city", 3),
        CodeField("item", 30, "item"),
        CodeField("cross", 50, "cross", 0),
    ),
    numbers=("age", "age is missing", "price", "text.0", "text.1", "text.2"),
    lists=(ListField("seen", 30, "item", 4), ListField("tags", 9, "tags", 3)),
    heads=(),
    number_columns=("age", "age", "price", "text", "text", "text"),
)
"""Two widths, a shared table, a cross without vectors, and numbers with several components."""


def inputs(rows: int = 6) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(0)
    codes = [torch.randint(3, f.size, (rows,), generator=random) for f in LAYOUT.codes]
    lists = {
        f.name: torch.randint(3, f.size, (rows, f.length), generator=random) for f in LAYOUT.lists
    }
    return torch.stack(codes, 1), torch.randn(rows, 6, generator=random), lists


def double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def test_each_column_has_the_vector_that_its_name_says() -> None:
    torch.manual_seed(0)
    read = FieldInput(LAYOUT, dim=4)
    codes, numbers, lists = inputs()
    fields = read(codes, numbers, lists)
    assert fields.shape == (6, 8, 4)
    assert read.output_width == 8 * 4
    assert sorted(read.names) == ["age", "city", "item", "price", "seen", "tags", "text", "user"]
    for name in ("user", "item", "seen", "tags"):
        found = fields[:, read.names.index(name)]
        torch.testing.assert_close(found, read.embed.field(name, codes, lists))


def test_a_column_of_another_width_is_projected() -> None:
    torch.manual_seed(0)
    read = FieldInput(LAYOUT, dim=4)
    codes, numbers, lists = inputs()
    narrow = double(read.embed.field("city", codes, lists))  # [6, 3]
    (weight,) = [p for n, p in read.resize.named_parameters() if n.endswith("weight")]
    found = read(codes, numbers, lists)[:, read.names.index("city")]
    assert weight.shape == (1, 3, 4)
    np.testing.assert_allclose(double(found), narrow @ double(weight[0]), rtol=1e-5, atol=1e-7)


def test_the_components_of_a_numeric_column_are_one_field() -> None:
    torch.manual_seed(0)
    fields = NumberFields(LAYOUT.columns_of_numbers(), dim=4)
    _, numbers, _ = inputs()
    found, x = double(fields(numbers)), double(numbers)
    assert fields.names == ("price", "age", "text")
    assert fields.single is not None
    np.testing.assert_allclose(found[:, 0], x[:, 2:3] * double(fields.single), rtol=1e-5, atol=1e-7)
    for place, columns in ((1, slice(0, 2)), (2, slice(3, 6))):
        expected = x[:, columns] @ double(fields.several[place - 1])
        np.testing.assert_allclose(found[:, place], expected, rtol=1e-5, atol=1e-7)


def test_a_column_may_have_its_components_apart() -> None:
    fields = NumberFields(["a", "b", "a"], dim=2)
    x = torch.tensor([[1.0, 10.0, 100.0]])
    with torch.no_grad():
        fields.several[0].copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert fields(x)[0, 1].tolist() == [301.0, 402.0]


def test_numbers_may_be_left_out() -> None:
    read = FieldInput(LAYOUT, dim=4, with_numbers=False)
    assert sorted(read.names) == ["city", "item", "seen", "tags", "user"]
    assert read(*inputs()).shape == (6, 5, 4)


def test_there_may_be_no_field_at_all() -> None:
    layout = Layout((), ("x",), (), ())
    read = FieldInput(layout, dim=4, with_numbers=False)
    assert read(torch.empty(3, 0), torch.zeros(3, 1), {}).shape == (3, 0, 4)
