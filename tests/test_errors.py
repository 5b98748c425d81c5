import warnings

import pytest

from crosstower.errors import (
    BundleError,
    CrosstowerError,
    CrosstowerWarning,
    DataError,
    RecipeError,
    RunError,
    ServeError,
    TrainingError,
    did_you_mean,
    notify,
)


def test_all_errors_are_of_one_family_with_exit_codes_of_their_own() -> None:
    kinds = [RecipeError, DataError, TrainingError, RunError]
    assert [k.exit_code for k in kinds] == [2, 3, 4, 5]
    places = [BundleError, ServeError]  # what is on the disk is wrong, as of a run
    assert [k.exit_code for k in places] == [5, 5]
    assert all(issubclass(k, CrosstowerError) for k in kinds + places)


def test_a_hint_is_given_only_where_there_is_something_near() -> None:
    assert did_you_mean("uesr_id", ["user_id", "item_id"]) == "; did you mean 'user_id'?"
    assert did_you_mean("zzz", ["user_id"]) == ""


@pytest.mark.parametrize("depth", [1, 3])
def test_a_warning_names_the_line_of_the_user(depth: int) -> None:
    """However many functions of the package are between the line and the warning."""
    own = {"__name__": "crosstower.some.room", "notify": notify}
    exec("def call(depth):\n    return call(depth - 1) if depth else notify(['known'])", own)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        own["call"](depth)
    assert [str(warning.message) for warning in found] == ["known"]
    assert found[0].category is CrosstowerWarning
    assert found[0].filename == __file__
