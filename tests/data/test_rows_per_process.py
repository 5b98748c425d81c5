"""Parts of a batch: together all rows, none twice, and no process without one."""

import pytest

from crosstower.data.rows_per_process import filled_part_of, part_of


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("total", [1, 2, 6, 7, 61])
def test_parts_are_all_rows_in_order(total: int, size: int) -> None:
    parts = [part_of(total, rank, size) for rank in range(size)]
    assert [row for part in parts for row in range(total)[part]] == list(range(total))
    counts = [len(range(total)[part]) for part in parts]
    assert max(counts) - min(counts) <= 1


def test_an_empty_part_is_filled_by_the_first_row() -> None:
    parts = [filled_part_of(2, rank, 3) for rank in range(3)]
    assert [(range(2)[part], fills) for part, fills in parts] == [
        (range(1), True),
        (range(1), False),
        (range(1, 2), False),
    ]
