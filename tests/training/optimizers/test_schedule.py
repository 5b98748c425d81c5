"""Learning rates by step."""

import pytest

from crosstower.training.optimizers.schedule import factor


def test_a_schedule_and_a_warm_up_set_the_rate() -> None:
    assert [factor(s, 10, kind="constant", warmup=2) for s in (0, 1, 2, 9)] == [0.5, 1, 1, 1]
    assert factor(5, 10, kind="linear", warmup=0) == pytest.approx(0.5)
    assert factor(5, 10, kind="cosine", warmup=0) == pytest.approx(0.5)
    assert factor(6, 10, kind="cosine", warmup=2) == pytest.approx(0.5)
    assert factor(0, 10, kind="cosine", warmup=0) == 1.0
    assert 0 < factor(10, 10, kind="linear", warmup=0) <= 1e-3
