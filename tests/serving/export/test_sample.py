import torch

from crosstower.recipe.own_columns import ages_name
from crosstower.serving.export.sample import sample

from .conftest import LAYOUT, SHARED


def test_every_code_and_every_length_comes_up() -> None:
    rows = sample(LAYOUT, 2000)
    for place, field in enumerate(LAYOUT.codes):
        assert rows.codes[:, place].unique().tolist() == list(range(1, field.size))
    for field in LAYOUT.lists:
        codes = rows.lists[field.name]
        assert codes.dtype == torch.int32
        assert codes.unique().tolist() == list(range(field.size))
        assert (codes != 0).sum(1).unique().tolist() == list(range(field.length + 1))
    assert abs(float(rows.numbers.mean())) < 0.1


def test_padding_comes_after_the_values() -> None:
    for codes in sample(LAYOUT, 300).lists.values():
        present = codes != 0
        assert torch.equal(present, present.int().cummin(1).values.bool())


def test_shared_columns_have_one_value() -> None:
    rows = sample(LAYOUT, 50, shared=SHARED | {"price"})
    assert rows.shared == SHARED | {"price"}
    varied = [len(rows.codes[:, i].unique()) > 1 for i in range(3)]
    assert varied == [False, True, True]
    assert [len(rows.numbers[:, i].unique()) for i in range(3)] == [1, 1, 1]
    assert {name: len(codes) for name, codes in rows.lists.items()} == {
        "seen": 1,
        "tags.all": 50,
        "numbers": 50,
        "path": 50,
        "had": 1,
        ages_name("had"): 1,
    }


def test_a_seed_decides_the_rows() -> None:
    one, same, other = (sample(LAYOUT, 9, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.codes, same.codes)
    assert torch.equal(one.numbers, same.numbers)
    assert not torch.equal(one.codes, other.codes)
