"""A cross: a hash of the codes of its columns."""

import numpy as np

from crosstower.recipe.kinds.cross import Cross
from crosstower.values.codes import RESERVED_CODES
from crosstower.values.hashing import combine


def test_a_cross_hashes_the_codes_of_its_columns_in_order() -> None:
    one, other = np.array([3, 4, 1], np.int32), np.array([5, 3, 3], np.int32)
    cross = Cross(columns=("a", "b"), hash_buckets=50)
    wanted = combine([one, other]) % np.uint64(50) + np.uint64(RESERVED_CODES)
    assert cross.coder(None)([one, other]).tolist() == wanted.tolist()
    assert cross.coder(None)([other, one]).tolist() != wanted.tolist()


def test_only_the_wide_side_reads_a_cross_without_a_width() -> None:
    assert Cross(columns=("a", "b"), hash_buckets=50).inputs("ab", None).dim == 0
    field = Cross(columns=("a", "b"), hash_buckets=50, dim=4).inputs("ab", None)
    assert (field.size, field.table, field.dim) == (53, "ab", 4)
