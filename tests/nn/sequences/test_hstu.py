"""HSTU against NumPy."""

import numpy as np
import pytest
import torch

from crosstower.nn.sequences.steps import Steps

from . import oracles
from .histories import COUNTS, PRESENT, B, L, check_oracle, encoder, rows


def test_hstu_is_pointwise_attention_with_gates() -> None:
    check_oracle("hstu", oracles.hstu, heads=2, length=L)


def timed() -> tuple[torch.Tensor, torch.Tensor]:
    """Return times `[B, L]` of events from seconds to years apart, and those of the rows `[B]`."""
    random = np.random.default_rng(3)
    gaps = np.exp(random.uniform(0, 20, (B, L + 1))).astype(np.int64)
    times = torch.from_numpy(1_500_000_000 + gaps.cumsum(1))
    return times[:, :L], times[torch.arange(B), COUNTS]


def ages_of(times: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
    return (now.unsqueeze(1) - times).masked_fill(~PRESENT, 0)


def test_the_bias_of_time_is_that_of_the_next_event() -> None:
    model, (times, now) = encoder("hstu", heads=2, times=True).double(), timed()
    x = rows().double().requires_grad_()
    found = model(x, Steps.of(PRESENT, ages=ages_of(times, now)))
    for i, count in enumerate(COUNTS.tolist()):
        if count:
            known = np.append(times[i, :count].numpy(), now[i])
            wanted = oracles.hstu(model, oracles.numbers(x[i, :count]), length=L, times=known)
            np.testing.assert_allclose(oracles.numbers(found[i, :count]), wanted, rtol=1e-9)


def test_the_gradient_is_that_of_the_formula() -> None:
    model, (times, now) = encoder("hstu", times=True).double(), timed()
    model.zero_grad()
    model(rows().double(), Steps.of(PRESENT, ages=ages_of(times, now)))[PRESENT].sum().backward()
    weight = model.blocks[1].time_bias.weight  # type: ignore[union-attr,index]
    gradient, step = oracles.numbers(weight.grad), 1e-5  # type: ignore[union-attr]

    def total() -> float:
        return sum(
            oracles.hstu(
                model,
                oracles.numbers(rows()[i, :count]),
                length=L,
                times=np.append(times[i, :count].numpy(), now[i]),
            ).sum()
            for i, count in enumerate(COUNTS.tolist())
            if count
        )

    used = np.flatnonzero(gradient[:, 0])
    assert len(used) > 10
    for bucket in used[::5]:
        with torch.no_grad():
            weight[bucket] += step  # type: ignore[index]
            above = total()
            weight[bucket] -= 2 * step  # type: ignore[index]
            below = total()
            weight[bucket] += step  # type: ignore[index]
        np.testing.assert_allclose(gradient[bucket, 0], (above - below) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("changed", [2, 5])
def test_the_time_of_a_later_event_is_not_read(changed: int) -> None:
    model, (times, now) = encoder("hstu", times=True).double(), timed()
    first, x = times[:1], rows()[:1].double()
    later = first.clone()
    later[:, changed] = first[:, changed - 1] + 1  # still in order
    before, after = (model(x, Steps.of(PRESENT[:1], ages=(now[:1] - t))) for t in (first, later))
    # Value i knows the time of the event after it, which is the one that it predicts.
    assert torch.equal(before[:, : changed - 1], after[:, : changed - 1])
    assert not torch.equal(before[:, changed - 1], after[:, changed - 1])


def test_only_differences_of_times_count() -> None:
    model, (times, now) = encoder("hstu", times=True), timed()
    found = [
        model(rows(), Steps.of(PRESENT, ages=ages_of(times + shift, now + shift)))
        for shift in (0, 10**9)
    ]
    assert torch.equal(*found)


def test_without_times_nothing_is_drawn_or_added() -> None:
    torch.manual_seed(1)
    plain = encoder("hstu")
    timed_one = encoder("hstu", times=True)
    extra = {name for name in timed_one.state_dict() if "time_bias" in name}
    assert timed_one.state_dict().keys() - plain.state_dict().keys() == extra
    steps = Steps.of(PRESENT)
    timed_one.load_state_dict(plain.state_dict() | {n: torch.zeros(128, 1) for n in extra})
    with_ages = Steps.of(PRESENT, ages=ages_of(*timed()))
    assert torch.equal(plain(rows(), steps), timed_one(rows(), with_ages))
    with pytest.raises(ValueError, match="reads times, but its input has none"):
        timed_one(rows(), steps)
