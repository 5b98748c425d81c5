import json
import shutil
from pathlib import Path

import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.bundle.manifest import read_manifest
from crosstower.serving.state.state import State

from .command_line import Capture, run


@pytest.fixture
def served(bundle: Bundle, tmp_path: Path) -> Path:
    """A bundle whose version 1 is live, and whose version 2 was refused."""
    base = Path(shutil.copytree(bundle.folder, tmp_path / "rentals"))
    path = Path(shutil.copytree(bundle.folder, tmp_path / "rentals.versions" / "0001" / "bundle"))
    version = read_manifest(base).version
    gain = {"name": "click", "metric": "auc", "gain": 0.0123}
    detail = {"figures": {"comparisons": [gain] * 5}, "facts": {"rows": 12_345}}
    with State.open(tmp_path / "rentals.state") as state:
        state.set_bundle(base)
        log = state.versions
        log.add("begun", 1, path, base=version)
        log.publish(1, path, base=version, detail=detail, instead_of=state.bundle())
        log.add("begun", 2, path.with_name("2"), base=version)
        log.add("refused", 2, path.with_name("2"), base=version, detail={"reasons": ["worse"] * 30})
    return base


def test_versions_are_listed_within_100_columns(served: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "versions", served)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line.split() for line in lines]
    live = next(row for row in rows if row[:2] == ["1", "*"])
    assert live[4:6] == ["12,345", "published"]
    assert " ".join(live[6:]).startswith("click AUC +0.0123, click AUC")
    assert any(row[0] == "2" and "refused" in row and "worse;" in row for row in rows if row)
    assert lines[-1].startswith("live: version 1 since 20")


def test_versions_as_json(served: Path, capsys: Capture) -> None:
    code, out, _ = run(capsys, "versions", served, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["live"] == 1
    assert [v["number"] for v in found["versions"]] == [2, 1, 0]


def test_a_folder_that_no_server_has_written_is_refused(bundle: Bundle, capsys: Capture) -> None:
    code, _, err = run(capsys, "versions", bundle.folder, "--state", bundle.folder)
    assert code == 5
    assert "not the state of a server" in err
