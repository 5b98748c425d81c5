import pytest
from pydantic import ValidationError

from crosstower.recipe.tasks import Binary, Rating, Regression


def test_defaults() -> None:
    assert Binary().weight == 1.0
    assert (Rating().low, Rating().high) == (1.0, 5.0)
    assert Regression().clip is None


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Binary, {"positive": "yes", "threshold": 1}, "give positive or threshold, not both"),
        (Binary, {"weight": 0}, "greater than 0"),
        (Regression, {"clip": [5, 5]}, r"expected \[low, high\] with low < high, got \[5"),
        (Rating, {"low": 5}, "low: must be below high, got low=5.0 and high=5.0"),
        (Rating, {"log1p": True}, "Extra inputs"),
    ],
)
def test_an_impossible_task_is_refused(kind: type, options: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate(options)
