from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from crosstower.nn.chain import chained_logits

LOG_2 = 0.6931472


def test_probabilities_multiply_along_the_chain() -> None:
    random = np.random.default_rng(0)
    drawn = random.normal(-1, 2, (3, 50))
    chained = chained_logits([torch.from_numpy(x).double() for x in drawn])
    for i, found in enumerate(chained):
        expected = logit(expit(drawn[: i + 1]).prod(0))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_chain_of_one_is_the_logit_itself() -> None:
    logit_ = torch.randn(4)
    assert chained_logits([logit_])[0] is logit_


def test_rare_and_sure_events_stay_finite_with_a_gradient() -> None:
    click = torch.tensor([-60.0, 0.0, 60.0, 60.0], requires_grad=True)
    buy = torch.tensor([-60.0, -60.0, 60.0, 0.0], requires_grad=True)
    found = chained_logits([click, buy])[1]
    expected = torch.tensor([-120.0, -60.0 - LOG_2, 60.0 - LOG_2, 0.0])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    found.sum().backward()
    assert click.grad is not None
    assert click.grad.isfinite().all()


@pytest.mark.parametrize("sure", [5.0, 20.0, 60.0, 1e4])
def test_a_chain_that_is_sure_and_wrong_has_a_gradient(sure: float) -> None:
    """Of -log(1 - p q) by both logits: near p q = 1, half of 1 each."""
    logits = torch.full((2, 1), sure, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(chained_logits(list(logits))[1], torch.zeros(1))
    loss.backward()
    assert logits.grad is not None
    p = 1.0 / (1.0 + np.exp(-sure))
    expected = p * p * (1 - p) / (1 - p * p) if sure < 30 else 0.5
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-5)


@given(st.lists(st.lists(st.floats(-80, 80), min_size=4, max_size=4), min_size=2, max_size=4))
def test_a_chain_is_the_product_in_high_precision(rows: list[list[float]]) -> None:
    found = chained_logits([torch.tensor(row, dtype=torch.float32) for row in rows])[-1]
    for column, value in enumerate(found.tolist()):
        with localcontext(prec=120):
            p = Decimal(1)
            for row in rows:
                given_ = float(np.float32(row[column]))
                p *= 1 / (1 + (-Decimal(given_)).exp())
            exact = float((p / (1 - p)).ln())
        assert value == pytest.approx(exact, rel=1e-5, abs=1e-5)


def test_bfloat16_logits_are_multiplied_in_float32() -> None:
    one = torch.tensor([-3.0], dtype=torch.bfloat16)
    found = chained_logits([one, one])[1]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, logit(expit(-3.0) ** 2), rtol=1e-6)
