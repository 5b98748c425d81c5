import json
from pathlib import Path

import pytest

from crosstower.blending.exploration.epsilon import Epsilon
from crosstower.serving.bundle import Bundle

from ..fixtures.funnels import Runs
from ..fixtures.live_films import LiveFilms
from .command_line import Capture, run


@pytest.mark.slow
def test_a_bundle_is_made_and_says_how_to_serve_it(
    blended: Runs, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "bundle"
    runs = (blended.retrieval.folder, blended.ranking.folder)
    code, text, _ = run(capsys, "bundle", *runs, "-o", out, "--candidates", "50")
    assert code == 0
    made = Bundle.open(out)
    assert made.manifest.candidates == 50
    assert f"version {made.version}, retrieve and rank, 1,500 items (exact index)" in text
    assert f"crosstower serve {out}" in text
    code, text, _ = run(capsys, "bundle", *runs, "-o", tmp_path / "other", "--json")
    assert json.loads(text)["items"] == 1_500
    code, _, err = run(capsys, "bundle", *runs, "-o", out)
    assert (code, "already exists" in err) == (5, True)


def test_a_bundle_takes_a_file_of_rules_that_fit_its_items(
    blended: Runs, tmp_path: Path, capsys: Capture
) -> None:
    rules, out = tmp_path / "rules.yaml", tmp_path / "bundle"
    rules.write_text("boost: {where: prise < 80, multiply: 2}")
    arguments = ("bundle", blended.retrieval.folder, "-o", out, "--rules", rules)
    code, _, err = run(capsys, *arguments)
    assert (code, "did you mean 'price'" in err) == (2, True)
    rules.write_text("boost: {where: price < 80, multiply: 2}")
    assert run(capsys, *arguments)[0] == 0
    assert Bundle.open(out).rules.boost[0].multiply == 2


def test_a_bundle_takes_an_exploration_as_yaml(
    rentals: Runs, tmp_path: Path, capsys: Capture
) -> None:
    arguments = ("bundle", rentals.retrieval.folder, "-o", tmp_path / "bundle", "--explore")
    code, _, err = run(capsys, *arguments, "{kind: epsilon, epsilon: 3}")
    assert (code, "explore.epsilon: Input should be less than or equal to 1" in err) == (2, True)
    assert run(capsys, *arguments, "{kind: epsilon, epsilon: 0.3}")[0] == 0
    assert Bundle.open(tmp_path / "bundle").explore == Epsilon(epsilon=0.3)


@pytest.mark.slow
def test_columns_that_every_request_must_give_are_said(
    cinema: Runs, rentals: Runs, tmp_path: Path, capsys: Capture
) -> None:
    runs, out = (cinema.retrieval.folder, cinema.ranking.folder), tmp_path / "bundle"
    code, text, _ = run(capsys, "bundle", *runs, "-o", out)
    assert (code, "Every request must give 'hour' in its query" in text) == (0, True)
    assert "- Columns of every query: hour\n" in (out / "card.md").read_text()
    user = ("recommend", out, "--user", "7", "-k", "3")
    assert "needs the column 'hour'" in run(capsys, *user)[2]
    assert run(capsys, *user, "--query", '{"hour": null}')[0] == 0
    code, text, _ = run(capsys, "bundle", rentals.retrieval.folder, "-o", tmp_path / "other")
    assert "Every request" not in text


def test_a_bundle_says_that_events_change_no_list_until_they_are_named(
    live_films: LiveFilms, rentals: Runs, tmp_path: Path, capsys: Capture
) -> None:
    note = "Events change no list: name the types that extend histories, such as --history-event"
    code, text, _ = run(capsys, "bundle", rentals.retrieval.folder, "-o", tmp_path / "none")
    assert (code, note in text) == (0, True)
    named = ("--history-event", "click", "--history-event", "like")
    runs = ("bundle", rentals.retrieval.folder, "-o", tmp_path / "named")
    code, text, _ = run(capsys, *runs, *named)
    assert (code, "Events change" in text) == (0, False)
    assert Bundle.open(tmp_path / "named").event_types == ("click", "like")
    code, text, _ = run(capsys, "bundle", live_films.retrieval.folder, "-o", tmp_path / "own")
    assert (code, "Events change" in text) == (0, False)
