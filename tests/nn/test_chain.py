import numpy as np
import torch
from scipy.special import expit, logit

from crosstower.nn.chain import chained_logits


def test_probabilities_multiply_along_the_chain() -> None:
    random = np.random.default_rng(0)
    given = random.normal(-1, 2, (3, 50))
    chained = chained_logits([torch.from_numpy(x).double() for x in given])
    for i, found in enumerate(chained):
        expected = logit(expit(given[: i + 1]).prod(0))
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_chain_of_one_is_the_logit_itself() -> None:
    logit_ = torch.randn(4)
    assert chained_logits([logit_])[0] is logit_


def test_rare_and_sure_events_stay_finite_with_a_gradient() -> None:
    click = torch.tensor([-60.0, 0.0, 60.0, 60.0], requires_grad=True)
    buy = torch.tensor([-60.0, -60.0, 60.0, 0.0], requires_grad=True)
    found = chained_logits([click, buy])[1]
    assert found.isfinite().all()
    torch.testing.assert_close(found[:2], torch.tensor([-120.0, -60.6931]), rtol=1e-4, atol=0)
    torch.testing.assert_close(found[3], torch.tensor(0.0), atol=1e-5, rtol=0)
    found.sum().backward()
    assert click.grad is not None
    assert click.grad.isfinite().all()


def test_bfloat16_logits_are_multiplied_in_float32() -> None:
    one = torch.tensor([-3.0], dtype=torch.bfloat16)
    found = chained_logits([one, one])[1]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, logit(expit(-3.0) ** 2), rtol=1e-6)
