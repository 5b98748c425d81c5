import json
import math

import numpy as np
import polars as pl
import pytest

from crosstower.fitting.comparing.compare import compare
from crosstower.fitting.comparing.result import Comparison
from crosstower.training.run import Run


@pytest.fixture
def compared(rankers: tuple[Run, Run, Run]) -> Comparison:
    return compare(rankers)


def test_frames_and_json_hold_the_same(compared: Comparison) -> None:
    plain = compared.plain()
    json.dumps(plain, allow_nan=False)
    assert len(plain["tests"]) == compared.tests().height == 2 * 2 * 3
    metrics = compared.metrics().filter(pl.col("run") == "blind<b>")
    assert metrics["sd"].null_count() == metrics.height  # one seed
    assert all(math.isfinite(t["p"]) for t in plain["tests"])
    assert np.isfinite(compared.tests()["value"].to_numpy()).all()
