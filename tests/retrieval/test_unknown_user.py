"""Users whom a run does not know are named, and nobody gets an arbitrary order."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from crosstower.cli.main import app
from crosstower.errors import CrosstowerWarning
from crosstower.fitting.fit import fit
from crosstower.funnel.online.request import FunnelRequest
from crosstower.retrieval.retriever import Retriever
from crosstower.retrieval.run_files import COUNT
from crosstower.serving.bundle.building import make_bundle
from crosstower.serving.bundle.live import Live
from crosstower.serving.http.responses import list_response
from crosstower.training.run import Run

from ..fixtures.films import recipe


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose query tower reads the history only."""
    folder = tmp_path_factory.mktemp("histories")
    made = recipe(folder)
    columns = {n: c for n, c in made.schema_.columns.items() if n != "device"}
    training = made.training.model_copy(update={"epochs": 1})
    schema = made.schema_.model_copy(update={"columns": columns})
    short = made.model_copy(update={"schema_": schema, "training": training})
    return fit(short, out=folder / "run", quiet=True)


def test_an_unknown_user_gets_popular_items_where_only_histories_are_read(histories: Run) -> None:
    retriever = Retriever.open(histories)
    with pytest.warns(CrosstowerWarning, match="is unknown.*: popular items instead, scored by"):
        found = retriever.recommend("nobody", k=5)
    most = retriever.items.sort(COUNT, descending=True, maintain_order=True).head(5)
    assert found["item_id"].to_list() == most["film"].to_list()
    assert found["score"].to_list() == most[COUNT].to_list()
    with pytest.warns(CrosstowerWarning):
        drama = retriever.recommend("nobody", k=60, where="genre == 'drama'")
    assert set(drama["genre"]) == {"drama"}
    assert drama["score"].is_sorted(descending=True)


def test_a_known_user_gives_no_warning(histories: Run, recwarn: pytest.WarningsRecorder) -> None:
    assert Retriever.open(histories).recommend(3, k=5)["score"].n_unique() > 1
    assert Retriever.open(histories).recommend(None, k=5).height == 5
    assert not list(recwarn)


def test_an_unknown_user_with_query_columns_is_served_and_named(film_run: Run) -> None:
    with pytest.warns(
        CrosstowerWarning, match="user 77777 is unknown: treated as a user without a history"
    ):
        Retriever.open(film_run).recommend(77777, query={"device": "tv"})


def test_the_command_line_says_so(histories: Run) -> None:
    command = ["recommend", str(histories.folder), "--user", "nobody", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "note: user 'nobody' is unknown" in result.stderr
    assert "note" not in result.stdout


def test_responses_over_http_say_so(histories: Run, film_run: Run, tmp_path: Path) -> None:
    for name, of, query, words in (
        ("histories", histories, {}, "instead, scored by their training rows"),
        ("run", film_run, {"device": "tv"}, "treated as a user without a history"),
    ):
        live = Live.open(make_bundle([of], tmp_path / name))
        funnel = live.needs_funnel
        (found,) = funnel.recommend_each([FunnelRequest(user="nobody", k=3, query=query)])
        response = list_response(live, found, k=3, stages=False)  # type: ignore[arg-type]
        assert [notice.endswith(words) for notice in response["notices"]] == [True]
        assert response["fallback"] == (None if query else "popular")
        (known,) = funnel.recommend_each([FunnelRequest(user=3, k=3)])
        assert list_response(live, known, k=3, stages=False)["notices"] == []  # type: ignore[arg-type]
