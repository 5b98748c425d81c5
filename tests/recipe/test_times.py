import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.times import TimeFormat


@pytest.mark.parametrize("given", ["s", "ms", "us", "ns", "order", "%m/%d/%Y", "%Y-%m", "%Y%m%d"])
def test_units_order_and_patterns_that_name_a_month_are_formats(given: str) -> None:
    assert TimeFormat.model_validate(given) == TimeFormat(format=given)
    assert (TimeFormat(format=given).pattern == given) == ("%" in given)


@pytest.mark.parametrize("given", ["%H:%M", "%d.%m.", "%Q", "minutes", "", "%"])
def test_a_format_that_names_no_day_is_refused(given: str) -> None:
    with pytest.raises(RecipeError, match="expected s, ms, us, ns, order or a strftime"):
        TimeFormat(format=given)


def test_a_zone_must_exist() -> None:
    assert TimeFormat(timezone="Europe/Berlin").timezone == "Europe/Berlin"
    with pytest.raises(RecipeError, match="expected a zone such as UTC"):
        TimeFormat(timezone="Berlin")
