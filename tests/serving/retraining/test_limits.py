import pytest

from crosstower.errors import RecipeError
from crosstower.serving.retraining.limits import GateLimits


@pytest.mark.parametrize("given", [(1.2, 0.8), (0.0, 1.0), (1.0, 1.0)])
def test_calibration_needs_two_ascending_numbers(given: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match="calibration: expected two numbers above 0"):
        GateLimits(calibration=given)


@pytest.mark.parametrize("wrong", [{"max_loss": -0.1}, {"confidence": 0.5}, {"limit": 1}])
def test_wrong_keys_and_values_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        GateLimits(**wrong)  # type: ignore[arg-type]
