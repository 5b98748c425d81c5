from datetime import UTC, datetime
from pathlib import Path

import pytest

from crosstower.errors import RecipeError
from crosstower.evaluation.experiments.experiment_file import Experiments, load_experiments
from crosstower.recipe.validation import validate
from crosstower.recipe.yaml_reader import read_yaml

ARMS = "{control: {share: 0.5}, likes: {share: 0.4, request: {blend: {weights: {like: 2}}}}}"
ONE = f"""
name: likes
start: 2026-11-01
arms: {ARMS}
metrics: {{clicks: {{event: click}}, ctr: {{event: click, per: impression}}}}
"""


def parsed(*texts: str) -> Experiments:
    return validate(Experiments, {"experiments": [read_yaml(text) for text in texts]})


def test_times_are_utc_and_ends_are_exclusive() -> None:
    file = parsed(
        ONE + "end: 2026-11-08T02:00:00+02:00",
        ONE.replace("name: likes", "name: next").replace("2026-11-01", "2026-11-08"),
    )
    first, second = file.experiments
    assert first.end == second.start == datetime(2026, 11, 8, tzinfo=UTC)
    assert first.active(datetime(2026, 11, 7, 23, 59, tzinfo=UTC))
    assert not first.active(datetime(2026, 11, 8, tzinfo=UTC))
    assert second.active(datetime(2026, 11, 8, tzinfo=UTC))
    assert not first.active(datetime(2026, 10, 31, tzinfo=UTC))
    assert file.named("next") is second


def test_one_experiment_at_a_time() -> None:
    with pytest.raises(RecipeError, match="'likes' and 'next' overlap in time; end one before"):
        parsed(ONE, ONE.replace("name: likes", "name: next"))
    with pytest.raises(RecipeError, match="the name 'likes' is given twice"):
        parsed(ONE, ONE)
    later = ONE.replace("name: likes", "name: next").replace("2026-11-01", "2026-12-01")
    file = parsed(ONE + "end: 2026-12-01", later)
    with pytest.raises(RecipeError, match="a name is needed; there are: likes, next"):
        file.named(None)
    with pytest.raises(RecipeError, match="no experiment 'nxt'; did you mean 'next'"):
        file.named("nxt")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read: No such file"):
        load_experiments(tmp_path / "none.yaml")
    path = tmp_path / "experiments.yaml"
    path.write_text("[")
    with pytest.raises(RecipeError, match="is not YAML"):
        load_experiments(path)
    path.write_text("- name: a")
    with pytest.raises(RecipeError, match="expected the key experiments with a list"):
        load_experiments(path)


def test_bundles_of_arms_are_relative_to_the_file(tmp_path: Path) -> None:
    first = ONE.replace("share: 0.5}", "share: 0.5, bundle: new}", 1) + "end: 2026-12-01"
    later = ONE.replace("name: likes", "name: next").replace("2026-11-01", "2026-12-01")
    later = later.replace("share: 0.5}", "share: 0.5, bundle: /far}", 1)
    file = parsed(first, later)
    path = tmp_path / "experiments.yaml"
    path.write_text(file.model_dump_json())
    found = load_experiments(path)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    new, far = str(tmp_path / "new"), "/far"
    assert found.bundles(start) == {
        new: "experiment 'likes', arm 'control'",
        far: "experiment 'next', arm 'control'",
    }
    assert list(found.bundles(datetime(2026, 12, 1, tzinfo=UTC))) == [far]
