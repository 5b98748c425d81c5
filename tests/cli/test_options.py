"""Options that commands share."""

import pytest
import typer
from typer.testing import CliRunner

from crosstower.cli.options import parsed_query, renamed_options
from crosstower.errors import CrosstowerWarning, QueryError


def test_a_query_is_a_json_object() -> None:
    assert parsed_query(None) is None
    assert parsed_query('{"device": "tv", "hour": 3}') == {"device": "tv", "hour": 3}


@pytest.mark.parametrize(
    ("text", "words"), [("{device: tv}", "--query: not JSON"), ("[1]", "expected a JSON object")]
)
def test_another_query_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        parsed_query(text)


def test_an_old_option_still_works_with_a_warning() -> None:
    app = typer.Typer()

    @app.command(cls=renamed_options({"--waiting": "--max-queue"}))
    def serve(max_queue: int = 1) -> None:
        typer.echo(max_queue)

    assert CliRunner().invoke(app, ["--max-queue", "5"]).stdout == "5\n"
    with pytest.warns(CrosstowerWarning, match="--waiting is now --max-queue"):
        assert CliRunner().invoke(app, ["--waiting", "7"]).stdout == "7\n"
