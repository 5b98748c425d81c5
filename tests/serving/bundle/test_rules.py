import shutil

import pytest

from crosstower.errors import BundleError, RecipeError
from crosstower.recipe.loading import parse_recipe
from crosstower.recipe.rules import Rules
from crosstower.serving.bundle import Bundle, make_bundle
from crosstower.serving.bundle.rules import read_rules

from ...fixtures.funnels import Runs


def test_the_rules_of_a_file_are_those_of_the_bundle_and_part_of_its_version(
    blended: Runs, tmp_path
) -> None:
    (tmp_path / "rules.yaml").write_text("max_per: {column: city, most: 2}")
    plain = make_bundle([blended.retrieval], tmp_path / "plain")
    made = make_bundle([blended.retrieval], tmp_path / "ruled", rules=tmp_path / "rules.yaml")
    assert plain.rules == Rules()
    assert made.rules == Rules(max_per={"column": "city", "most": 2})
    assert "rules.json" in made.manifest.files
    assert made.version != plain.version
    (made.folder / "rules.json").write_text("{}")
    with pytest.raises(BundleError, match=r"rules\.json: cut short"):
        Bundle.open(made.folder)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"require": "prise < 3"}, r"rules\.require\[0\].*no column 'prise'; did you mean 'price'"),
        ({"dedup_by": "amenities"}, r"dedup_by\[0\]: column 'amenities' holds List"),
    ],
)
def test_rules_that_do_not_fit_the_items_make_no_bundle(
    blended: Runs, tmp_path, rules, words
) -> None:
    with pytest.raises(RecipeError, match=words):
        make_bundle([blended.retrieval], tmp_path / "b", rules=Rules(**rules))
    assert not (tmp_path / "b").exists()


def test_rules_of_a_ranker_alone_are_about_its_columns(blended: Runs, tmp_path) -> None:
    made = make_bundle([blended.ranking], tmp_path / "b", rules=Rules(require="price < 100"))
    assert made.rules.require == ("price < 100",)
    for rules, words in (({"dpp": {}}, "need item vectors"), ({"dedup_by": "pice"}, "'price'")):
        with pytest.raises(RecipeError, match=words):
            make_bundle([blended.ranking], tmp_path / "c", rules=Rules(**rules))


def test_the_rules_of_a_recipe_come_with_its_run(blended: Runs, tmp_path) -> None:
    run = shutil.copytree(blended.retrieval.folder, tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe + "rules: {pin: [{item: 3, at: 1}]}\n")
    assert parse_recipe((run / "recipe.yaml").read_text()).rules is not None
    assert make_bundle([run], tmp_path / "own").rules == Rules(pin={"item": 3, "at": 1})
    other = make_bundle([run], tmp_path / "other", rules=Rules(dedup_by="city"))
    assert other.rules == Rules(dedup_by="city")


def test_damaged_rules_are_refused(tmp_path) -> None:
    (tmp_path / "rules.json").write_text('{"pn": 1}')
    with pytest.raises(BundleError, match=r"did you mean 'pin'.*make the bundle again"):
        read_rules(tmp_path)
