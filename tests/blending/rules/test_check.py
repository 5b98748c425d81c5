import polars as pl
import pytest

from crosstower.blending.rules.check import check_rules
from crosstower.errors import QueryError
from crosstower.recipe.rules import Rules

COLUMNS = {
    "price": pl.Float64(),
    "seller": pl.String(),
    "tags": pl.List(pl.String()),
    "born": pl.Date(),
    "new": pl.Boolean(),
}


def test_rules_that_fit_the_columns_pass():
    rules = Rules(
        require="price < 3 and 'a' in tags",
        freshness={"column": "born", "half_life": "1d"},
        max_per={"column": "seller", "most": 1},
        slots={"where": "new", "every": 2, "floor": {"column": "price", "at_least": 1}},
        dpp={},
    )
    check_rules(rules, COLUMNS, vectors=True)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"require": "prise < 3"}, r"require\[0\].*no column 'prise'; did you mean 'price'"),
        ({"boost": {"where": "price <", "add": 1}}, r"boost\[0\]\.where.*invalid syntax"),
        ({"exclude": "price == 'x' or price < 'a'"}, r"exclude\[0\].*price"),
        ({"dedup_by": ["seler"]}, r"dedup_by\[0\]: no column 'seler'; did you mean 'seller'"),
        ({"max_per": {"column": "tags", "most": 1}}, "holds List.*expected single values.*seller"),
        ({"freshness": {"column": "new", "half_life": 9}}, "holds Boolean, expected times.*born"),
        (
            {"slots": {"where": "new", "every": 2, "floor": {"column": "seller", "at_least": 1}}},
            r"slots\[0\]\.floor\.column: column 'seller' holds String, expected numbers.*price",
        ),
        (
            {"slots": {"where": "new", "every": 2, "pacing": {"budget": "price", "cost": "cost"}}},
            r"pacing\.cost: no column 'cost'",
        ),
        ({"mmr": {}}, "need item vectors.*similar_by"),
    ],
)
def test_rules_that_do_not_fit_are_refused_with_the_key(keys, words):
    with pytest.raises(QueryError, match=words):
        check_rules(Rules(**keys), COLUMNS, vectors=False)


def test_all_wrong_keys_are_named_at_once():
    rules = Rules(require="x < 1", dedup_by="y", spacing={"column": "z"})
    with pytest.raises(QueryError) as caught:
        check_rules(rules, COLUMNS, vectors=False)
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "rules.require[0]",
        "rules.dedup_by[0]",
        "rules.spacing[0].column",
    ]
