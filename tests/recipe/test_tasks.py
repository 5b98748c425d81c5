import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.utils.class_weight import compute_class_weight

from crosstower.errors import CrosstowerWarning
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
        (Binary, {"class_weight": "even"}, r"balanced, or weights such as \{0: 1, .*got 'even'"),
        (Binary, {"class_weight": {2: 1}}, "balanced, or weights such as"),
        (Binary, {"class_weight": {}}, "balanced, or weights such as"),
        (Binary, {"class_weight": {1: 0}}, r"expected finite weights above 0.*got \{1: 0\}"),
        (Binary, {"class_weight": {1: "a"}}, "expected finite weights above 0"),
        (
            Binary,
            {"class_weight": {1: 2}, "positive_weight": 2},
            "positive_weight is an old name of class_weight; remove it",
        ),
        (Rating, {"low": 5}, "low: must be below high, got low=5.0 and high=5.0"),
        (Rating, {"log1p": True}, "Extra inputs"),
    ],
)
def test_an_impossible_task_is_refused(kind: type, options: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        kind.model_validate(options)


def test_class_weights_survive_json_and_the_missing_one_is_1() -> None:
    task = Binary(class_weight={1: 20})
    assert task.class_weights(None) == (1.0, 20.0)
    assert Binary.model_validate_json(task.model_dump_json()) == task
    assert Binary().class_weights(0.1) == (1.0, 1.0)


@pytest.mark.parametrize("count", [1, 30, 99])
def test_balanced_class_weights_are_those_of_scikit_learn(count: int) -> None:
    y = (np.arange(100) < count).astype(int)
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=y)
    assert Binary(class_weight="balanced").class_weights(y.mean()) == pytest.approx(expected)


def test_labels_of_one_class_have_no_balance() -> None:
    assert [Binary(class_weight="balanced").class_weights(s) for s in (0.0, 1.0)] == [
        (1.0, 1.0)
    ] * 2


def test_the_old_weight_of_positives_warns() -> None:
    with pytest.warns(CrosstowerWarning, match=r"positive_weight: 5 is now class_weight: \{1: 5\}"):
        assert Binary.model_validate({"positive_weight": 5}).class_weights(None) == (1.0, 5.0)
