from pathlib import Path

import pytest

from crosstower.errors import RecipeError
from crosstower.serving.retraining.plan import Label, RetrainPlan, load_plan


def test_a_plan_without_a_file_is_all_default() -> None:
    assert load_plan(None) == RetrainPlan()


def test_paths_start_at_the_folder_of_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text("{runs: {ranking: runs/clicks}, rows: {base: /data/rows.parquet}}")
    plan = load_plan(path)
    assert plan.runs.ranking == str(tmp_path / "runs" / "clicks")
    assert plan.runs.retrieval is None
    assert plan.rows.base == "/data/rows.parquet"
    path.write_text("rows: {base: 'world:feed_engagement'}")
    assert load_plan(path).rows.base == "world:feed_engagement"


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(
        "labels: {windw: 1d, tasks: {click: {evnt: click}}}\nrows: {replay: 2, test: x}\n"
        "gate: {confidence: 3}\nevry: 1d\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_plan(path)
    message = str(caught.value)
    for words in (
        "labels.windw: unknown key; did you mean 'window'?",
        "labels.tasks.click.event: missing",
        "labels.tasks.click.evnt: unknown key; did you mean 'event'?",
        "rows.replay: expected a number less than or equal to 1, got 2",
        "rows.test: ",
        "gate.confidence: ",
        "evry: unknown key",
    ):
        assert words in message


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "expected keys such as runs, labels, rows and gate"),
        ("labels: {window: soon}", "labels.window: expected a duration above 0"),
        ("rows: {valid: 0.49, test: 0.49}", "valid and test leave too few rows"),
        ("{", "not YAML"),
        ("index: anm", "no index engine 'anm'; did you mean 'ann'"),
        ("{index: exact, index_options: {nope: 1}}", "nope: unknown key"),
        ("{index: ann, index_options: {m: -4}}", r"ann.m: unknown key; allowed: storage"),
    ],
)
def test_a_broken_plan_is_an_error(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "retrain.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=match):
        load_plan(path)


def test_a_missing_label_is_zero_for_events_and_none_for_values() -> None:
    assert Label(event="click").otherwise == 0.0
    assert Label(event="watch", value=True).otherwise is None
    assert Label(event="watch", value=True, missing=0).otherwise == 0.0
