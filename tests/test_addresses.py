"""Commands with addresses, as a user types them, on a local S3 server."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from crosstower.cli.main import main
from crosstower.serving.bundle import Bundle
from crosstower.serving.http import server
from crosstower.serving.http.server import prepared
from crosstower.serving.http.settings import Settings
from crosstower.serving.state.state import State
from crosstower.training.run import Run
from crosstower.values.addresses.address import place_of
from crosstower.values.addresses.remote import exists, input_file, read_text, upload

from .cli.command_line import run
from .conftest import RECIPE, rows
from .fixtures.object_store import SECRET

pytestmark = pytest.mark.slow

SHORT = ("-o", "training.epochs=1", "-o", "evaluation.baselines=[]")


def put(path: Path, address: str) -> None:
    upload(path, place_of(address))  # type: ignore[arg-type]


@pytest.fixture
def store(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket with a recipe and its rows, from an empty working folder."""
    for name, frame in (("rows", rows()), ("new", rows(60, seed=9))):
        frame.write_parquet(tmp_path / f"{name}.parquet")
        put(tmp_path / f"{name}.parquet", f"{bucket}/{name}.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE)
    put(tmp_path / "small.yaml", f"{bucket}/small.yaml")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for scope in ("READ", "WRITE", "ADMIN"):
        monkeypatch.delenv(f"CROSSTOWER_{scope}_TOKEN", raising=False)
    return bucket


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.said = capsys, ""

    def __call__(self, *arguments: str | Path, code: int = 0) -> str:
        """Run a command, check its exit code, and return all that it printed."""
        found, out, err = run(self.capsys, *arguments)
        self.said += out + err
        assert found == code, out + err
        return out + err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def test_a_ranker_from_its_rows_to_its_server(
    store: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = f"{store}/runs/small"
    said = shell("fit", f"{store}/small.yaml", "--out", run, *SHORT)
    assert f"crosstower predict {run} ROWS" in said
    assert Run.open(run).recipe.data.path == f"{store}/rows.parquet"

    shell("predict", run, f"{store}/new.parquet", "-o", f"{store}/scores/new.parquet")
    with input_file(place_of(f"{store}/scores/new.parquet")) as file:  # type: ignore[arg-type]
        scores = pl.read_parquet(file)
    here = Run.open(run).predict(rows(60, seed=9))
    assert scores["click__prediction"].equals(here["click__prediction"])
    again = ("predict", run, f"{store}/new.parquet", "-o", f"{store}/scores/new.parquet")
    assert f"{store}/scores/new.parquet: already exists" in shell(*again, code=5)
    shell(*again, "--force")

    said = shell("evaluate", run, "--data", f"{store}/new.parquet")
    assert f"report: {run}/report-new.html" in said
    assert "<html" in read_text(place_of(f"{run}/report-new.html"))
    said = shell("evaluate", run, "--out", f"{store}/page.html")
    assert "<html" in read_text(place_of(f"{store}/page.html"))

    bundle = f"{store}/bundles/small"
    said = shell("bundle", run, "-o", bundle)
    assert f"serve it: crosstower serve {bundle}" in said
    assert Bundle.open(bundle).version in said
    assert f"{bundle}: already exists" in shell("bundle", run, "-o", bundle, code=5)

    served: list[Settings] = []
    monkeypatch.setattr(server, "serve", served.append)
    said = shell("serve", bundle, code=5)
    assert f"{bundle}: a bundle at an address has no folder next to it; give --state" in said
    shell("serve", bundle, "--state", "s3://bucket/state", code=5)
    said = shell("serve", bundle, "--state", tmp_path / "state")
    assert Bundle.open(bundle).version in said
    assert "published in place" not in said
    with State.open(tmp_path / "state") as state:
        chosen = state.bundle()
    assert chosen is not None
    assert str(place_of(chosen[1])) == bundle
    with prepared(served[0]) as found:  # again, as after a restart
        assert str(found.place) == bundle
    assert json.loads(shell("versions", bundle, "--state", tmp_path / "state", "--json"))
    retrain = ("retrain", bundle, "--state", tmp_path / "state")
    assert "runs.ranking: missing; the first retraining" in shell(*retrain, code=5)
    elsewhere = shell(*retrain, "--versions", "s3://no-such-bucket/versions", code=5)
    assert "s3://no-such-bucket/versions: cannot be written" in elsewhere

    assert SECRET not in shell.said
    assert not list(Path.cwd().iterdir())  # no folder called s3: or runs


def test_a_retriever_and_its_index(
    bucket: str, shell: Shell, film_run: Run, tmp_path: Path
) -> None:
    run = f"{bucket}/runs/films"
    for path in film_run.folder.rglob("*"):
        if path.is_file():
            put(path, f"{run}/{path.relative_to(film_run.folder).as_posix()}")
    before = shell("recommend", run, "--user", "7", "-k", "5", "--json")
    found = json.loads(shell("index", run, "--kind", "ann", "--json"))
    assert found["folder"].startswith(f"{run}/")
    assert exists(place_of(found["folder"]))
    with pytest.MonkeyPatch.context() as patch:  # another machine
        patch.setenv("CROSSTOWER_CACHE", str(tmp_path / "other"))
        assert json.loads(
            shell("recommend", run, "--user", "7", "-k", "5", "--json")
        ) == json.loads(before)
        place = found["folder"].removeprefix(f"{run}/")
        assert list((tmp_path / "other").glob(f"folders/*/*/films/{place}"))
    bundle = f"{bucket}/bundles/films"
    shell("bundle", run, "-o", bundle, "--json")
    assert Bundle.open(bundle).manifest.items == 60


def test_secrets_in_an_address_are_refused_and_never_shown(store: str, shell: Shell) -> None:
    secret = "s3://AKIAKEY:hunter2@bucket/rows.parquet"
    for arguments in (
        ("fit", f"{store}/small.yaml", "-o", f"data.path={secret}"),
        ("fit", f"{store}/small.yaml", "--out", secret),
        ("predict", secret, "rows.parquet"),
        ("bundle", "run", "-o", secret),
        ("serve", secret),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["crosstower", *arguments])
            with pytest.raises(SystemExit):
                main()
        out, err = shell.capsys.readouterr()
        assert "holds credentials" in out + err, arguments
        assert "hunter2" not in out + err
    assert "hunter2" not in shell.said
