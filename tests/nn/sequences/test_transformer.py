"""SASRec against NumPy."""

from .histories import check_oracle
from .oracles import transformer


def test_a_transformer_is_sasrec_with_pre_norm() -> None:
    check_oracle("transformer", transformer, heads=2)
