import json

import pytest
import yaml

from crosstower.recipe.yaml_reader import read_yaml


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "NO", "y", "n", "Yes", "On"])
def test_words_stay_words(word: str) -> None:
    assert read_yaml(f"{{{word}: {word}}}") == {word: word}


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("False", False), ("3", 3), ("null", None), ("0.5", 0.5)]
)
def test_other_values_are_read_as_ever(text: str, value: object) -> None:
    assert read_yaml(text) == value


def test_objects_are_refused() -> None:
    with pytest.raises(yaml.YAMLError):
        read_yaml("!!python/object/apply:os.getcwd []")


def test_characters_that_json_writes_in_halves_are_whole() -> None:
    assert read_yaml(json.dumps({"a👍": ["👎", "é"]})) == {"a👍": ["👎", "é"]}
    with pytest.raises(yaml.YAMLError, match="has half of a character"):
        read_yaml('{"a": "\\ud83d"}')
