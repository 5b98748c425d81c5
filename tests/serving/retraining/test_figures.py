import json
import math

from crosstower.serving.retraining.figures import (
    GateMeasurements,
    MetricComparison,
    PredictionDrift,
    Verdict,
)


def test_a_verdict_is_plain_json() -> None:
    nothing = MetricComparison("click", "auc", *[math.nan] * 6, passed=True)
    figures = GateMeasurements(7, 3, (nothing,), (), (PredictionDrift("click", 0.5, passed=False),))
    found = Verdict(("worse",), ("a note",), figures).plain()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["reasons"] == ["worse"]
    assert found["figures"]["comparisons"][0] == {
        "name": "click", "metric": "auc", "live": None, "candidate": None, "gain": None,
        "low": None, "high": None, "detectable": None, "passed": True,
    }  # fmt: skip
    assert found["figures"]["drift"] == [{"task": "click", "psi": 0.5, "passed": False}]


def test_a_verdict_with_a_reason_has_not_passed() -> None:
    assert Verdict().passed
    assert not Verdict(("worse",)).passed
