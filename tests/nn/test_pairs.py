from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest
import torch

from crosstower.nn.pairs import DotProducts, factorised_pairs

FIELDS = torch.randn(7, 5, 4, generator=torch.Generator().manual_seed(0))


def test_the_machine_sums_over_all_pairs() -> None:
    e = FIELDS.double().numpy()
    expected = sum(e[:, i] * e[:, j] for i, j in combinations(range(5), 2))
    np.testing.assert_allclose(factorised_pairs(FIELDS), expected, rtol=1e-4, atol=1e-5)


def test_one_field_has_no_pair() -> None:
    torch.testing.assert_close(factorised_pairs(FIELDS[:, :1]), torch.zeros(7, 4))
    assert DotProducts(1)(FIELDS[:, :1]).shape == (7, 0)


def test_a_narrow_dtype_loses_no_precision() -> None:
    """In bfloat16 the sums would be rounded to 8 bits before the difference."""
    narrow = (FIELDS * 10).bfloat16()
    torch.testing.assert_close(factorised_pairs(narrow), factorised_pairs(narrow.float()))
    assert factorised_pairs(narrow).dtype == torch.float32


@pytest.mark.parametrize(
    ("with_itself", "of"), [(False, combinations), (True, combinations_with_replacement)]
)
def test_dot_products_are_those_of_all_pairs(with_itself: bool, of: type) -> None:
    e, pairs = FIELDS.double().numpy(), list(of(range(5), 2))
    expected = np.stack([(e[:, i] * e[:, j]).sum(1) for i, j in pairs], axis=1)
    dots = DotProducts(5, with_itself=with_itself)
    assert dots.output_width == len(pairs)
    np.testing.assert_allclose(dots(FIELDS), expected, rtol=1e-4, atol=1e-5)
