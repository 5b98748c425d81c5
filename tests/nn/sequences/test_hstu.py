"""HSTU against NumPy."""

from . import oracles
from .histories import L, check_oracle


def test_hstu_is_pointwise_attention_with_gates() -> None:
    check_oracle("hstu", oracles.hstu, heads=2, length=L)
