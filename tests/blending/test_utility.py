import numpy as np
import polars as pl
import pytest

from crosstower.blending.utility import Constraint, Utility, check_utility, gain, load_utility
from crosstower.errors import DataError, RecipeError
from crosstower.recipe.validation import validate

KINDS = {"like": "binary", "comment": "binary", "stars": "rating"}
TEXT = """
values: {like: 1, comment: 3}
user: user_id
k: 5
by: [null, content_type]
transforms: [probit]
constraints:
  - {column: content_type, value: 7, min_share: 0.3}
  - {column: content_type, value: video, max_share: 0.5}
  - {task: like, min_ndcg: 0.9}
"""


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "kind": ["a", "a", "b", "b", None, None, "c"],
            "like": [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            "comment": [0.0, 1.0, None, 1.0, 1.0, 0.0, 0.0],
            "stars": [3.0, 5.0, 1.0, 2.0, 4.0, None, 1.0],
            "price": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0],
            "truth": [0.5, 0.1, 0.2, 0.2, 0.3, 0.9, 0.4],
        }
    )


def utility(**keys) -> Utility:
    return validate(Utility, {"values": {"like": 1, "comment": 2}, "user": "user_id", **keys})


def test_a_utility_is_read_from_yaml(tmp_path):
    (tmp_path / "utility.yaml").write_text(TEXT)
    found = load_utility(tmp_path / "utility.yaml")
    assert found.values == {"like": 1.0, "comment": 3.0}
    assert (found.k, found.by, found.transforms) == (5, (None, "content_type"), ("probit",))
    assert [c.words for c in found.constraints] == [
        "share of content_type '7' at least 0.3",
        "share of content_type 'video' at most 0.5",
        "NDCG of task 'like' at least 0.9",
    ]
    assert Utility.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("valeus: {like: 1}\nuser: u\nvalues: {like: 1}", "valeus: unknown key; did you mean 'val"),
        ("user: u", "values: missing"),
        ("values: {like: 0}\nuser: u", "values: at least one value must be above 0"),
        ("values: {like: -1}\nuser: u", "task 'like': expected a number of 0 or more, got -1.0"),
        ("values: {like: 1}\nuser: u\nby: [a, a]", "by: expected each choice once"),
        ("values: {like: 1}\nuser: u\ntransforms: []", "at least 1 item"),
        ("values: {like: 1}\nuser: u\nconstraints: [{task: like}]", "min_ndcg}, got task"),
        ("values: {like: 1}\nuser: u\nconstraints: [{}]", "got nothing"),
        (
            "values: {like: 1}\nuser: u\nconstraints: [{column: a, value: b, min_ndcg: 0.1}]",
            "expected {column, value, min_share or max_share} or {task, min_ndcg}, got column, min",
        ),
        ("values: [", "the utility is not YAML"),
        ("", "the utility must hold keys such as values and user"),
    ],
)
def test_a_wrong_utility_says_what_is_wrong(text, message, tmp_path):
    (tmp_path / "utility.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_utility(tmp_path / "utility.yaml")
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"nothing.yaml: no such utility file"):
        load_utility(tmp_path / "nothing.yaml")


def test_the_gain_is_the_weighted_sum_of_labels_and_nan_where_one_is_missing():
    found = gain(utility(), frame(), KINDS)
    np.testing.assert_array_equal(found, [1.0, 2.0, np.nan, 3.0, 2.0, 1.0, 0.0])
    paid = gain(utility(values={"stars": 0.5}, amount="price"), frame(), KINDS)
    np.testing.assert_array_equal(paid, [1.5, 5.0, 1.5, 4.0, 10.0, np.nan, 0.0])


def test_a_task_worth_nothing_needs_no_label():
    found = gain(utility(values={"like": 2, "comment": 0}), frame().drop("comment"), KINDS)
    np.testing.assert_array_equal(found, [2.0, 0.0, 2.0, 2.0, 0.0, 2.0, 0.0])


def test_relative_gains_have_mean_one_in_each_type_and_none_where_nothing_happens():
    found = gain(utility(values={"like": 1}, relative_to="kind"), frame(), KINDS)
    np.testing.assert_allclose(found, [2.0, 0.0, 1.0, 1.0, 0.0, 2.0, 0.0])
    found = gain(utility(values={"comment": 3}, relative_to="kind"), frame(), KINDS)
    np.testing.assert_allclose(found, [0.0, 6.0, np.nan, 3.0, 6.0, 0.0, 0.0])


def test_truth_takes_the_place_of_labels():
    found = gain(utility(values={"like": 2}), frame(), KINDS, truth={"like": "truth"})
    np.testing.assert_allclose(found, 2 * frame()["truth"].to_numpy())


def test_bad_input_is_named():
    with pytest.raises(RecipeError, match="values: no task 'coment'; did you mean 'comment'"):
        gain(utility(values={"coment": 1}), frame(), KINDS)
    other = (Constraint(task="lik", min_ndcg=0.1),)
    with pytest.raises(RecipeError, match="constraints: no task 'lik'; did you mean 'like'"):
        check_utility(utility(constraints=other), KINDS)
    with pytest.raises(DataError, match=r"column 'like': a utility needs labels of 0 .* -1.0 in"):
        gain(utility(), frame().with_columns(like=pl.lit(-1.0)), KINDS)
    with pytest.raises(DataError, match="no column 'knid'"):
        gain(utility(relative_to="knid"), frame(), KINDS)
    with pytest.raises(DataError, match="column 'price': expected an amount"):
        gain(utility(amount="price"), frame().with_columns(price=-pl.col("price")), KINDS)
