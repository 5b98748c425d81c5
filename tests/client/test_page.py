"""The code of docs/clients.md, with a real server of the rentals in processes of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstower.client import Client
from crosstower.serving.bundle import Bundle

from ..serving.processes import serving

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
TOKENS = {name: f"a-{name}-token-of-the-server" for name in ("read", "write", "admin")}
SHOWN = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def server(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the server."""
    state = tmp_path_factory.mktemp("page") / "state"
    with pytest.MonkeyPatch.context() as patch:
        for name, token in TOKENS.items():
            patch.setenv(f"CROSSTOWER_{name.upper()}_TOKEN", token)
        with serving(bundle.folder, state) as running:
            yield running.url


def python(number: int) -> str:
    return re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)[number]


def run(code: str, server: str) -> None:
    exec(compile(code.replace(SHOWN, server), "clients.md", "exec"), {"__name__": "shown"})


def test_a_list_is_printed(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(python(0), server)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["1", "2", "3", "4", "5"]


def test_lists_are_printed_asynchronously(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(python(1), server)
    assert re.fullmatch(r"\[(\[\d+, \d+, \d+\](, )?){3}\]\n", capsys.readouterr().out)


def test_bulk_writes_are_stored(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(python(2), server)
    assert capsys.readouterr().out == "2500\n1\n"
    with Client(server, token=TOKENS["write"]) as client:
        assert client.model().newer_items == 2_500
        client.delete_items(range(2_000_000, 2_002_500))
        assert client.model().newer_items == 0


def test_every_python_block_is_run() -> None:
    assert len(re.findall(r"^```python$", PAGE, re.M)) == 3


def test_all_methods_are_named() -> None:
    methods = [name for name in vars(Client) if not name.startswith("_") and name != "close"]
    assert all(re.search(rf"^\|.*`{name}`", PAGE, re.M) for name in methods)
