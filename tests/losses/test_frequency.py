import numpy as np
import pytest
import torch

from crosstower.losses.frequency import StreamingFrequency


def test_intervals_follow_algorithm_2() -> None:
    stream = [[0, 1], [1], [0, 0], [2], [0, 1], [1]]
    alpha, last, interval = 0.25, [0.0] * 3, [0.0] * 3
    estimate = StreamingFrequency(3, alpha=alpha)
    for step, batch in enumerate(stream, start=1):
        estimate.update(torch.tensor(batch))
        for item in set(batch):
            gap = step - last[item]
            smoothed = (1 - alpha) * interval[item] + alpha * gap
            interval[item], last[item] = (smoothed if interval[item] else gap), step
    assert estimate.interval.tolist() == pytest.approx(interval)


def test_probabilities_come_near_those_of_a_skewed_stream() -> None:
    random = np.random.default_rng(0)
    p = np.arange(1, 201, dtype=float) ** -0.7
    p /= p.sum()
    estimate = StreamingFrequency(200, alpha=0.02)
    for _ in range(2000):
        estimate.update(torch.from_numpy(random.choice(200, size=64, p=p)))
    found = estimate.probability(torch.arange(200), batch_size=64).numpy()
    ratio = found / p
    assert np.median(ratio) == pytest.approx(1.0, abs=0.05)
    assert (np.abs(np.log(ratio)) < 0.7).mean() > 0.95
    assert np.corrcoef(np.log(found), np.log(p))[0, 1] > 0.95


def test_items_of_every_batch_are_told_apart() -> None:
    random = np.random.default_rng(0)
    p = np.array([0.5, 0.25, 0.15, 0.1])
    estimate = StreamingFrequency(4)
    for _ in range(500):
        estimate.update(torch.from_numpy(random.choice(4, size=256, p=p)))
    found = estimate.probability(torch.arange(4), batch_size=256).numpy()
    np.testing.assert_allclose(found, p, rtol=0.1)


def test_it_follows_a_change() -> None:
    estimate = StreamingFrequency(2, alpha=0.1)
    for step in range(400):
        often, rarely = (0, 1) if step < 200 else (1, 0)
        estimate.update(torch.tensor([often] if step % 10 else [often, rarely]))
    first, second = estimate.probability(torch.tensor([0, 1]), batch_size=4).tolist()
    assert second > 3 * first


def test_intervals_are_whole_steps_however_long_the_stream() -> None:
    """A float32 counter would see gaps of 0 from step 2^24 on."""
    estimate = StreamingFrequency(2, alpha=0.5)
    estimate.step = 2**24
    for _ in range(150):
        estimate.update(torch.tensor([0, 1] if estimate.step % 3 == 0 else [0]))
    assert estimate.interval.tolist() == pytest.approx([1.0, 3.0], rel=1e-3)


def test_an_item_never_seen_is_rarer_than_any_other() -> None:
    estimate = StreamingFrequency(3)
    for _ in range(50):
        estimate.update(torch.tensor([0]))
    estimate.update(torch.tensor([1]))
    p = estimate.probability(torch.tensor([0, 1, 2]), batch_size=8)
    assert p[0] > p[1] > p[2] > 0
    assert p.max() < 1
