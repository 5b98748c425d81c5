"""Buckets of time differences: exact, causal, and of the event after each value."""

import math

import numpy as np
import pytest
import torch

from crosstower.nn.sequences.time_bias import BUCKETS, TimeBias, event_buckets, time_buckets


def test_a_bucket_is_the_floor_of_the_logarithm() -> None:
    seconds = np.unique(np.concatenate([np.arange(100), 2 ** np.arange(20, 40), [10**17]]))
    wanted = [min(math.floor(math.log(max(1, s)) / 0.301), BUCKETS - 1) for s in seconds.tolist()]
    assert time_buckets(torch.from_numpy(seconds)).tolist() == wanted
    assert time_buckets(torch.tensor([-5, -(10**12)])).tolist() == [0, 0]


def test_the_bounds_of_buckets_are_exact_beyond_the_integers_of_float32() -> None:
    bound = math.ceil(math.exp(0.301 * 60))  # 69 million seconds
    assert float(np.float32(bound - 1)) != bound - 1 or float(np.float32(bound)) != bound
    assert time_buckets(torch.tensor([bound - 1, bound])).tolist() == [59, 60]


def test_times_are_counted_to_the_event_after_a_value() -> None:
    times, now = torch.tensor([[1_000, 1_060, 5_000]]), 9_000
    found = event_buckets(now - times)[0]
    after = [1_060, 5_000, 9_000]
    for i in range(3):
        for j in range(i + 1):
            assert found[i, j] == time_buckets(torch.tensor(after[i] - int(times[0, j])))


def test_histories_in_one_row_end_at_rows_of_their_own() -> None:
    ages = torch.tensor([[500, 20, 70, 30, 0]])  # histories of 2 values each, and padding
    found = event_buckets(ages, torch.tensor([[0, 0, 2, 2, 4]]))[0]
    alone = event_buckets(ages[:, :2])[0], event_buckets(ages[:, 2:4])[0]
    assert torch.equal(found[:2, :2], alone[0])
    assert torch.equal(found[2:4, 2:4], alone[1])


def test_the_bias_starts_at_zero() -> None:
    bias = TimeBias(heads=3)
    assert not bias.weight.any()
    with torch.no_grad():
        bias.weight[7, 2] = 1.5
    found = bias(torch.full((2, 4, 4), 7))
    assert found.shape == (2, 3, 4, 4)
    assert (found[:, 2] == 1.5).all()
    assert not found[:, :2].any()


@pytest.mark.parametrize("seconds", [0, 1])
def test_the_smallest_differences_share_a_bucket(seconds: int) -> None:
    assert time_buckets(torch.tensor(seconds)) == 0
