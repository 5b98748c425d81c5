"""Histories of queries with the times of their events."""

import numpy as np
import pytest
import torch

from crosstower.retrieval.data.histories import EventTimes
from crosstower.retrieval.data.query_encoder import QueryEncoder

from .test_positions import LENGTH, job

LENGTHS = [4, 9, 2]


@pytest.fixture(scope="module")
def encoder() -> QueryEncoder:
    return job(LENGTHS, pooling="hstu", times=True).data.query_encoder()


def events() -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(1)
    times = 3_000_000_000 + np.exp(random.uniform(0, 22, 15)).astype(np.int64).cumsum()
    return torch.arange(15) % 7, torch.from_numpy(times)


def test_ages_go_with_the_codes_of_their_values(encoder: QueryEncoder) -> None:
    items, times = events()
    starts, ends = torch.tensor([0, 4, 4, 13]), torch.tensor([3, 13, 4, 15])
    rows = times[torch.tensor([3, 13, 4, 14])]
    lists = encoder.lists(items, starts, ends, EventTimes(times, rows))
    assert encoder.ages is not None
    codes, ages = lists["history"], lists[encoder.ages]
    assert isinstance(codes, torch.Tensor)
    assert isinstance(ages, torch.Tensor)
    assert codes.shape == ages.shape == (4, LENGTH)
    assert ages.dtype == torch.int64
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        kept = slice(max(start, end - LENGTH), end)
        count = kept.stop - kept.start
        assert torch.equal(ages[row, :count], rows[row] - times[kept])
        assert torch.equal(codes[row, :count].long(), encoder.codes[items[kept]].long())
        assert not ages[row, count:].any()


def test_prefixes_of_a_window_count_from_its_last_row(encoder: QueryEncoder) -> None:
    items, times = events()
    starts, ends = torch.tensor([0, 0, 0, 4, 4]), torch.tensor([0, 1, 3, 5, 9])
    rows = times[ends]
    lists = encoder.prefixes(items, starts, ends, EventTimes(times, rows))
    assert encoder.ages is not None
    codes, ages = lists["history"], lists[encoder.ages]
    assert codes.values.shape == ages.values.shape  # type: ignore[union-attr]
    present = codes.values > 0  # type: ignore[union-attr]
    wanted = torch.cat([times[3] - times[:3], times[9] - times[4:9]])
    assert torch.equal(ages.values[present], wanted)  # type: ignore[union-attr]


def test_times_are_needed(encoder: QueryEncoder) -> None:
    one = torch.tensor([0]), torch.tensor([2])
    with pytest.raises(ValueError, match="column 'history': its encoder reads times"):
        encoder.lists(events()[0], *one)
    with pytest.raises(ValueError, match="column 'history': its encoder reads times"):
        encoder.prefixes(events()[0], *one)
