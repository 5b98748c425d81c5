"""Rows put side by side come out as they went in."""

from collections.abc import Callable

import pytest
import torch

from crosstower.data import encoded_rows
from crosstower.data.batch import Batch
from crosstower.data.encoded_rows import Arena, BlockSize
from crosstower.data.ragged import Ragged


def block(first: int, lengths: list[int]) -> Batch:
    rows = len(lengths)
    offsets = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    values = torch.arange(first, first + sum(lengths)).int()
    return Batch(
        torch.arange(first, first + 2 * rows).reshape(rows, 2).int(),
        torch.full((rows, 1), float(first)),
        {"tags": Ragged(values, offsets, 4), "seen": torch.full((rows, 3), first).int()},
        torch.ones(rows, 1),
    )


def same(one: Batch, other: Batch) -> bool:
    ragged = one.lists["tags"], other.lists["tags"]
    return (
        torch.equal(one.codes, other.codes)
        and torch.equal(one.numbers, other.numbers)
        and torch.equal(one.lists["seen"], other.lists["seen"])
        and torch.equal(ragged[0][:].padded(), ragged[1][:].padded())
    )


BLOCKS = [block(1, [2, 0, 1]), block(50, [4]), block(90, [0, 3])]
SIZES = [BlockSize.of(one) for one in BLOCKS]


@pytest.mark.parametrize(
    "reserve",
    [
        lambda like: Arena.reserve(like, SIZES[0], 10_000),
        lambda like: Arena.exactly(like, 6, {"tags": sum(size.values["tags"] for size in SIZES)}),
    ],
    ids=["reserved", "exact"],
)
def test_rows_come_out_as_they_went_in(reserve: Callable[[Batch], Arena]) -> None:
    room = reserve(BLOCKS[0])
    for one, size in zip(BLOCKS, SIZES, strict=True):
        room.put(one, size)
    assert (room.used, room.used_bytes) == (6, sum(size.bytes for size in SIZES))
    begin = 0
    for one in BLOCKS:
        assert same(room.rows(begin, begin + len(one)), one)
        begin += len(one)


def test_room_is_bounded_by_bytes_and_by_rows() -> None:
    room = Arena.reserve(BLOCKS[0], SIZES[0], SIZES[0].bytes + SIZES[1].bytes)
    assert room.fits(SIZES[0])
    room.put(BLOCKS[0], SIZES[0])
    assert room.fits(SIZES[1])
    room.put(BLOCKS[1], SIZES[1])
    assert not room.fits(SIZES[1])


def test_bytes_count_the_values_of_lists() -> None:
    rows, values = 3, 3
    fixed = rows * (2 * 4 + 4 + 3 * 4 + 4) + rows * 8
    assert (SIZES[0].rows, SIZES[0].fixed_bytes) == (rows, fixed)
    assert SIZES[0].bytes == fixed + values * 4
    assert SIZES[0].values == {"tags": values}


def test_less_room_is_taken_where_the_system_gives_less(monkeypatch: pytest.MonkeyPatch) -> None:
    made, whole = encoded_rows._room, []

    def scarce(like: Batch, rows: int, values: dict[str, int]) -> Batch:
        whole.append(rows)
        if len(whole) < 3:
            raise RuntimeError("not enough memory")
        return made(like, rows, values)

    monkeypatch.setattr(encoded_rows, "_room", scarce)
    room = Arena.reserve(BLOCKS[0], SIZES[0], 40_000)
    assert room.memory_bytes == 10_000
    assert len(room.room) == room.capacity == whole[-1] == pytest.approx(whole[0] / 4, abs=1)
