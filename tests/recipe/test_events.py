"""Event logs of a recipe: a path, rows, options, or a list of these."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from crosstower.errors import RecipeError
from crosstower.recipe.data import Data
from crosstower.recipe.events import EventLog
from crosstower.recipe.loading import load_recipe, parse_recipe

SCHEMA = """
schema:
  columns: {n: {kind: counter, event: click, by: item_id, window: 7d}}
  tasks: {click: binary}
"""


@pytest.mark.parametrize(
    ("given", "logs"),
    [
        ("log.parquet", [EventLog(path="log.parquet")]),
        ("rows", [EventLog(rows=True)]),
        ({"path": "log.csv", "time": "at"}, [EventLog(path="log.csv", time="at")]),
        (["rows", "b.csv"], [EventLog(rows=True), EventLog(path="b.csv")]),
        ({"path": "old.csv", "rows": True}, [EventLog(path="old.csv", rows=True)]),
    ],
)
def test_logs_in_short(given: Any, logs: list[EventLog]) -> None:
    data = Data.model_validate({"events": given})
    assert list(data.events) == logs
    assert Data.model_validate(data.model_dump()) == data


def test_paths_are_relative_to_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        f"data: {{time: t, events: [rows, a.csv, {{path: b.csv}}]}}\n{SCHEMA}"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    paths = [log.path for log in recipe.data.events]
    assert paths == [None, str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert recipe.data.events[0].rows
    assert parse_recipe(recipe.to_yaml()) == recipe


def test_time_columns_of_logs_have_formats() -> None:
    text = f"data: {{time: t, events: {{path: a.csv, time: at}}, times: {{at: ms, t: s}}}}{SCHEMA}"
    assert parse_recipe(text).data.times["at"].format == "ms"
    with pytest.raises(RecipeError, match=r"data\.times\.to: not the time column of data\.split"):
        parse_recipe(text.replace("{at: ms", "{to: ms"))


class TestFaults:
    def test_neither_path_nor_rows(self) -> None:
        with pytest.raises(RecipeError, match="path: missing; name the log, or set rows: true"):
            EventLog(type="kind")

    def test_options_of_rows(self) -> None:
        with pytest.raises(RecipeError, match="type, time: not allowed with rows"):
            EventLog(rows=True, type="kind", time="at")

    def test_a_wrong_key_is_named(self) -> None:
        plain = {
            "data": {"events": [{"path": "a.csv", "tipe": "kind"}]},
            "schema": {"columns": {"a": "categorical"}, "tasks": {"click": "binary"}},
        }
        with pytest.raises(RecipeError, match=r"tipe: unknown key; did you mean 'type'"):
            parse_recipe(yaml.safe_dump(plain))
