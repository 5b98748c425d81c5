"""The command that runs the funnel: what it prints, what it writes, how it fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from crosstower.cli.funnel import funnel_app
from crosstower.errors import QueryError, RunError
from crosstower.funnel.funnel import Funnel

from ..fixtures.funnels import Runs, watches

Capture = pytest.CaptureFixture[str]


def command(capsys: Capture, *arguments: Any) -> str:
    funnel_app([str(a) for a in arguments], standalone_mode=False)
    return capsys.readouterr().out


def runs(runs: Runs) -> tuple[Path, Path]:
    return runs.retrieval.folder, runs.ranking.folder


def test_the_evaluation_is_printed_and_written(blended: Runs, capsys: Capture) -> None:
    out = command(capsys, *runs(blended), "--candidates", 40, "-k", 5)
    assert max(map(len, out.splitlines()[:-2])) <= 100  # the last two are paths
    for words in ("Recall@5", "perfect order of the retrieved", "all items blended", "diversity"):
        assert words in out
    assert "Retrieval finds" in out
    *_, file, following = out.strip().splitlines()
    assert file.endswith("funnel.json")
    assert following == (
        f"next: crosstower bundle {blended.retrieval.folder} {blended.ranking.folder} -o bundle"
    )
    written = json.loads((blended.ranking.folder / "funnel.json").read_text())
    printed = json.loads(command(capsys, *runs(blended), "--candidates", 40, "-k", 5, "--json"))
    assert written == printed
    assert (written["k"], written["candidates"]) == (5, 40)
    assert [step["name"] for step in written["steps"]] == [
        "retrieval", "ranking", "blending", "diversity",
    ]  # fmt: skip


def test_other_rows_and_their_columns(cinema: Runs, tmp_path: Path, capsys: Capture) -> None:
    watches(300, seed=5).write_parquet(tmp_path / "later.parquet")
    more = ("--data", tmp_path / "later.parquet", "--column", "hour")
    out = command(capsys, *runs(cinema), *more)
    assert "40 candidates of 40 items" in out
    with pytest.raises(QueryError, match=r"column 'hour'.*--column hour"):
        command(capsys, *runs(cinema), *more[:2])


def test_items_are_recommended(blended: Runs, capsys: Capture) -> None:
    more = ("--user", 7, "-k", 4, "--where", "price < 120")
    out = command(capsys, *runs(blended), *more)
    assert max(map(len, out.splitlines())) <= 100
    found = json.loads(command(capsys, *runs(blended), *more, "--json"))
    expected = Funnel.open(*runs(blended)).recommend(7, k=4, where="price < 120")
    assert found == json.loads(json.dumps(expected.to_dicts()))
    for row in found:
        assert str(row["item_id"]) in out
    nothing = command(capsys, *runs(blended), "--user", 7, "--where", "price < 0")
    assert nothing == "no item matches\n"


def test_a_query_alone_recommends(cinema: Runs, capsys: Capture) -> None:
    query = '{"hour": 20, "device": "tv"}'
    found = json.loads(command(capsys, *runs(cinema), "--query", query, "--json"))
    assert [row["rank"] for row in found] == list(range(1, 11))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "price < 3"], "--where: needs --user ID or --query JSON"),
        (["--user", "7", "--data", "x.parquet"], "--data: for evaluation only"),
        (["--user", "7", "--column", "hour"], "--column: for evaluation only"),
        (["--user", "7", "--query", "["], "--query: not JSON"),
        (["--user", "7", "-k", "201"], "k: expected 1 to 200.*raise --candidates"),
        (["-k", "30", "--candidates", "20"], "k: expected 1 to 20.*raise --candidates.* to 30"),
    ],
)
def test_options_that_do_not_go_together(
    rentals: Runs, capsys: Capture, arguments: list[str], words: str
) -> None:
    with pytest.raises(QueryError, match=words):
        command(capsys, *runs(rentals), *arguments)


def test_runs_in_the_wrong_order(rentals: Runs, capsys: Capture) -> None:
    with pytest.raises(RunError, match="crosstower funnel RETRIEVAL RANKING"):
        command(capsys, *reversed(runs(rentals)))


def test_help_has_examples(capsys: Capture) -> None:
    out = command(capsys, "--help")
    assert "crosstower funnel runs/retrieval runs/ranking" in " ".join(out.split())


def test_rules_are_evaluated_and_recommended_by(
    blended: Runs, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "rules.yaml").write_text("boost: {where: price < 60, multiply: 3}")
    rules = ("--rules", tmp_path / "rules.yaml", "--candidates", 40, "-k", 5)
    out = command(capsys, *runs(blended), *rules)
    assert "ruled" in out
    assert "Applying the rules" in out
    found = json.loads(command(capsys, *runs(blended), *rules, "--user", 5, "--json"))
    plain = json.loads(
        command(capsys, *runs(blended), "--candidates", 40, "-k", 5, "--user", 5, "--json")
    )
    prices = [[row["price"] for row in rows] for rows in (found, plain)]
    assert sum(prices[0]) < sum(prices[1])
