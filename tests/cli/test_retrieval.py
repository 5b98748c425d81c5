"""The commands of a retrieval run: what they print and how they fail."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from crosstower.cli.retrieval_tables import example_query, nothing_left
from crosstower.retrieval.retriever import Retriever
from crosstower.training.run import Run

from ..fixtures.films import recipe, watches
from .command_line import Capture
from .command_line import run as command


def test_the_journey(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "films.yaml").write_text(recipe(tmp_path).to_yaml())
    run = tmp_path / "run"
    code, out, err = command(capsys, "fit", tmp_path / "films.yaml", "--out", run)
    assert code == 0
    assert err.startswith("two_tower seed 0 epoch 1: loss ")
    assert "120 test queries, 60 items ranked" in out
    assert "two_tower *" in out
    assert "better than popularity" in out
    assert f"query it: crosstower recommend {run} --user ID" in out.replace("\n", "")
    code, out, _ = command(capsys, "evaluate", run)
    assert (code, "Recall@10 by slice" in out) == (0, True)
    code, out, _ = command(capsys, "index", run, "--kind", "ann", "--storage", "bfloat16")
    assert code == 0
    assert "ann index of 60 items × 8 dimensions, storage bfloat16" in out
    assert "recall@10 " in out
    code, out, _ = command(capsys, "recommend", run, "--user", 4, "-k", 3)
    assert code == 0
    assert "comedy" in out
    assert max(map(len, out.splitlines())) <= 100
    watches(200, seed=3).write_parquet(tmp_path / "later.parquet")
    code, out, _ = command(capsys, "evaluate", run, "--data", tmp_path / "later.parquet", "--json")
    assert code == 0
    assert set(json.loads(out)) == {
        "two_tower",
        "popularity",
        "item_knn",
        "transition_graph",
        "ease",
    }


def test_answers_as_json_hold_all_attributes(film_run: Run, capsys: Capture) -> None:
    where = "year > 1990 and genre in ['war', 'drama']"
    options = ("--where", where, "--query", '{"device": "tv"}', "--json")
    code, out, _ = command(capsys, "recommend", film_run.folder, "--user", 2, "-k", 4, *options)
    assert code == 0
    rows = json.loads(out)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert set(rows[0]) == {"rank", "item_id", "score", "genre", "title", "year"}
    assert all(row["year"] > 1990 for row in rows)


def test_an_empty_list_names_its_reason(film_run: Run) -> None:
    retriever = Retriever.open(film_run.folder)
    assert nothing_left(retriever, "4", None) == "no item matches"  # the recipe repeats items
    section = film_run.recipe.retrieval
    assert section is not None
    excluding = section.model_copy(update={"exclude_seen": True})
    changed = film_run.recipe.model_copy(update={"retrieval": excluding})
    retriever = replace(retriever, run=replace(film_run, recipe=changed))
    assert nothing_left(retriever, "4", None) == "no item outside the history of user '4'"
    assert nothing_left(retriever, "4", "year > 9999") == (
        "no matching item outside the history of user '4'"
    )
    assert nothing_left(retriever, "nobody", "year > 9999") == "no item matches"
    assert nothing_left(retriever, None, None) == "no item matches"


def test_the_example_query_is_one_that_the_run_answers(film_run: Run, search_run: Run) -> None:
    assert example_query(film_run) == f"recommend {film_run.folder} --user ID"
    assert example_query(search_run) == f'search {search_run.folder} "TEXT"'
    section = film_run.recipe.retrieval
    assert section is not None
    userless = section.model_copy(update={"user": None})
    recipe = film_run.recipe.model_copy(update={"retrieval": userless})
    asked = example_query(replace(film_run, recipe=recipe))
    assert asked == f'recommend {film_run.folder} --query \'{{"device": "VALUE"}}\''


def test_search_and_similar(search_run: Run, capsys: Capture) -> None:
    code, out, _ = command(capsys, "search", search_run.folder, "drama", "-k", 2, "--json")
    assert code == 0
    assert {row["genre"] for row in json.loads(out)} == {"drama"}
    code, out, _ = command(capsys, "similar", search_run.folder, "--item", "f00", "-k", 2)
    assert (code, "drama" in out) == (0, True)
    code, out, _ = command(capsys, "search", search_run.folder, "war", "--where", "year > 9999")
    assert (code, out) == (0, "no item matches\n")


def test_index_facts_as_json(film_run: Run, capsys: Capture, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(film_run.folder, tmp_path / "run")
    code, out, _ = command(capsys, "index", tmp_path / "run", "--storage", "int8", "--json")
    assert code == 0
    facts = json.loads(out)
    assert (facts["kind"], facts["items"], facts["recall"] > 0.9) == ("exact", 60, True)
    assert facts["options"] == {"storage": "int8"}


def test_options_of_an_engine_are_given_as_pairs(
    film_run: Run, capsys: Capture, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(film_run.folder, tmp_path / "run")
    given = ("--index-option", "storage=int8")
    code, out, _ = command(capsys, "index", tmp_path / "run", *given, "--json")
    assert (code, json.loads(out)["options"]) == (0, {"storage": "int8"})
    code, _, err = command(capsys, "index", tmp_path / "run", "--index-option", "storage")
    assert (code, "--index-option: expected KEY=VALUE, got 'storage'" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["recommend", "RUN", "--user", "1", "--where", "price < 3"], 2, "no column 'price'"),
        (["recommend", "RUN", "--user", "1", "--where", "year <"], 2, "invalid syntax"),
        (["recommend", "RUN", "--user", "1", "--where", "__import__('os')"], 2, "not a condition"),
        (["recommend", "RUN", "--user", "1", "--query", "{"], 2, "--query: not JSON"),
        (["recommend", "RUN", "--user", "1", "--query", "[1]"], 2, "expected a JSON object"),
        (["recommend", "RUN", "--user", "1", "-k", "0"], 2, ""),
        (["recommend", "RUN", "--user", "1", "--seed", "9"], 5, "no seed 9; the run has: 0, 1"),
        (["search", "RUN", "words"], 2, "one text column in the query"),
        (["similar", "RUN", "--item", "nope"], 2, "no item 'nope'"),
        (["index", "RUN", "--kind", "an"], 2, "did you mean 'ann'"),
        (
            ["index", "RUN", "--storage", "int4"],
            2,
            "storage: expected 'float32', 'bfloat16' or 'int8', got 'int4'",
        ),
        (["recommend", "nowhere", "--user", "1"], 5, "no run in this folder"),
        (["predict", "RUN", "RUN/../rows.parquet"], 5, "recommend, search or similar"),
    ],
)
def test_mistakes_get_a_sentence_and_a_code(
    film_run: Run, capsys: Capture, arguments: list[str], code: int, words: str
) -> None:
    given = [a.replace("RUN", str(film_run.folder)) for a in arguments]
    found, out, err = command(capsys, *given)
    assert found == code
    assert words in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("name", ["index", "recommend", "search", "similar"])
def test_help_has_an_example(capsys: Capture, name: str) -> None:
    code, out, _ = command(capsys, name, "--help")
    assert code == 0
    assert f"crosstower {name} runs/" in out
