from crosstower.errors import (
    BundleError,
    CrosstowerError,
    DataError,
    RecipeError,
    RunError,
    ServeError,
    TrainingError,
    did_you_mean,
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
