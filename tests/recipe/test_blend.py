import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.blend import Blend, check_blend, parse_weights
from crosstower.recipe.validation import validate

KINDS = {"like": "binary", "comment": "binary", "watch_time": "regression", "stars": "rating"}


def blend(**keys) -> Blend:
    return validate(Blend, {"weights": {"like": 1, "comment": 2}, **keys}, where="blend")


def test_a_blend_reads_from_plain_data_and_back() -> None:
    given = blend(
        transform={"like": "probit"},
        by="content_type",
        diversity={"by": "creator", "caps": {"*": 2, 7: 1}, "mmr": 0.7, "similar_by": ["topic"]},
    )
    assert given.diversity is not None
    assert given.diversity.caps == {"*": 2, "7": 1}
    assert given.columns() == ["content_type", "creator", "topic"]
    assert Blend.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"weights": {}}, "blend.weights: expected at least 1 item, got {}"),
        ({"weights": {"like": 0, "comment": 0}}, "at least one weight must differ from 0"),
        (
            {"weights": {"like": float("nan")}},
            "weights.like: expected a finite number, got nan",
        ),
        ({"wieghts": {}}, "blend.wieghts: unknown key; did you mean 'weights'?"),
        ({"transform": "probits"}, "no transform 'probits'; did you mean 'probit'?; allowed: iden"),
        ({"transform": {"lik": "probit"}}, "task 'lik' has no weight; did you mean 'like'?"),
        (
            {"mode": "product", "transform": "logit"},
            "mode product multiplies untransformed predictions",
        ),
        ({"mode": "product", "by": "content_type"}, "mode product fits nothing per content type"),
        ({"amount": "bid"}, "amount: 'bid' is a factor in mode product only"),
        (
            {"diversity": {}},
            "blend.diversity: nothing is set; set caps with by, or mmr with similar",
        ),
        ({"diversity": {"by": "type"}}, "by: 'type' has no caps"),
        ({"diversity": {"caps": {"a": 1}}}, "caps: by is missing; set by: COLUMN"),
        ({"diversity": {"by": "type", "caps": {"a": -1}}}, "greater than or equal to 0, got -1"),
        ({"diversity": {"mmr": 0.5}}, "mmr: similar_by is missing"),
        ({"diversity": {"similar_by": ["topic"]}}, "similar_by: mmr is missing"),
        ({"diversity": {"mmr": 1.5, "similar_by": ["topic"]}}, "less than or equal to 1, got 1.5"),
        ({"diversity": {"mmr": 1, "similar_by": ["topic"], "top": 0}}, "diversity.top: "),
    ],
)
def test_impossible_combinations_say_what_to_do(keys, message) -> None:
    with pytest.raises(RecipeError) as caught:
        blend(**keys)
    assert message in str(caught.value)


def test_a_blend_that_fits_the_tasks_passes() -> None:
    check_blend(blend(transform="logit"), KINDS)
    check_blend(blend(mode="product", amount="bid"), KINDS)
    mixed = blend(
        weights={"like": 1, "watch_time": -0.5},
        transform={"like": "logit", "watch_time": "percentile"},
    )
    check_blend(mixed, KINDS)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"weights": {"lik": 1}}, "blend.weights: no task 'lik'; did you mean 'like'?; tasks: lik"),
        (
            {"weights": {"stars": 1}, "transform": {"stars": "probit"}},
            "'stars' is a rating task; use percentile or standardise",
        ),
    ],
)
def test_a_blend_that_does_not_fit_the_tasks_is_refused(keys, message) -> None:
    with pytest.raises(RecipeError) as caught:
        check_blend(blend(**keys), KINDS)
    assert message in str(caught.value)


@pytest.mark.parametrize("word", ["identity", "logit", "probit"])
def test_one_word_for_probabilities_leaves_numbers_standardised(word) -> None:
    given = blend(weights={"like": 1, "watch_time": 1, "stars": 1}, transform=word)
    found = [given.transform_of(task, KINDS[task]) for task in given.weights]
    assert found == [word, "standardise", "standardise"]


def test_transforms_by_name_hold_and_the_others_are_as_by_default() -> None:
    given = blend(
        weights={"like": 1, "watch_time": 1, "stars": 1}, transform={"watch_time": "identity"}
    )
    found = [given.transform_of(task, KINDS[task]) for task in given.weights]
    assert found == ["identity", "identity", "standardise"]
    assert blend(transform="percentile").transform_of("stars", "rating") == "percentile"


def test_weights_are_read_from_text() -> None:
    assert parse_weights("like=1") == {"like": 1.0}
    assert parse_weights(" like = 1, comment=-2e-1 ") == {"like": 1.0, "comment": -0.2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected TASK=NUMBER, as in like=1,comment=2, got ''"),
        ("like", "got 'like'"),
        ("like=", "got 'like='"),
        ("=1", "got '=1'"),
        ("like=1,", "weights 'like=1,': expected TASK=NUMBER"),
        ("like=two", "got 'like=two'"),
        ("like=inf", "got 'like=inf'"),
        ("like=1,like=2", "task 'like' is repeated"),
    ],
)
def test_bad_weights_are_refused(text, message) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_weights(text)
    assert message in str(caught.value)
