import json

import pytest

from crosstower.errors import RecipeError
from crosstower.recipe.rules import RequestRules, Rules, load_rules

YAML = """
require: "price < 100"
boost: {where: "genre == 'news'", multiply: 2}
freshness: {column: published, half_life: 7d}
mmr: {relevance: 0.5}
max_per: [{column: seller, most: 2, within: 10}]
slots:
  where: "ad == true"
  every: 5
  floor: {column: bid, at_least: 0.1}
  pacing: {budget: 9, campaign: brand}
pin: [{item: 17, at: 1}, {item: b2, at: 2}]
"""


def test_a_file_of_rules_is_read_and_comes_back_from_json(tmp_path):
    (tmp_path / "rules.yaml").write_text(YAML)
    rules = load_rules(tmp_path / "rules.yaml")
    assert rules.require == ("price < 100",)
    assert rules.freshness.half_life == 7 * 86_400
    assert [pin.item for pin in rules.pin] == [17, "b2"]
    assert Rules(**json.loads(rules.model_dump_json())) == rules


def test_rules_name_their_columns_and_conditions(tmp_path):
    (tmp_path / "rules.yaml").write_text(YAML)
    rules = load_rules(tmp_path / "rules.yaml")
    assert dict(rules.conditions()) == {
        "require[0]": "price < 100",
        "boost[0].where": "genre == 'news'",
        "slots[0].where": "ad == true",
    }
    assert rules.columns() == ["seller", "brand", "bid", "published"]
    assert rules.needs_vectors
    assert not Rules(mmr={"similar_by": ["seller"]}).needs_vectors


def test_rules_of_a_request_add_to_those_of_the_bundle():
    own = Rules(exclude="adult", mmr={"relevance": 0.2}, pin={"item": 1, "at": 1})
    both = own.with_request(RequestRules(pin={"item": 2, "at": 3}, dpp={}))
    assert both.exclude == ("adult",)
    assert [(pin.item, pin.at) for pin in both.pin] == [(1, 1), (2, 3)]
    assert both.mmr is None
    assert both.dpp is not None
    assert own.with_request(None) is own


def test_rules_of_a_request_replace_those_of_the_bundle_if_asked():
    own = Rules(exclude="adult", pin={"item": 1, "at": 1})
    both = own.with_request(RequestRules(replace=True, dedup_by="title"))
    assert (both.exclude, both.pin, both.dedup_by) == ((), (), ("title",))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"mmr": {}, "dpp": {}}, "mmr, dpp: both are given; keep one"),
        ({"dedupby": "title"}, "dedupby: unknown key; did you mean 'dedup_by'"),
        ({"pin": {"item": 1.5, "at": 1}}, "pin"),
        ({"pin": {"item": 1, "at": 0}}, r"pin\.0\.at: expected a number greater than or equal"),
        ({"freshness": {"column": "t", "half_life": "soon"}}, "expected a duration above 0"),
        ({"exclude": ["a"] * 65}, "exclude"),
    ],
)
def test_wrong_rules_are_refused_in_words(keys, words):
    with pytest.raises(RecipeError, match=words):
        Rules(**keys)


def test_a_file_that_holds_no_rules_is_refused(tmp_path):
    path = tmp_path / "rules.yaml"
    with pytest.raises(RecipeError, match="no such file of rules"):
        load_rules(path)
    for text, words in (
        ("- 1", "expected keys such as"),
        ("a: [", "not YAML"),
        ("pn: 1", "did you"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=words):
            load_rules(path)
