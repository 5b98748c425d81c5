"""Commands that work on a state in PostgreSQL, and keep its password to themselves."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crosstower.serving.bundle import Bundle
from crosstower.serving.state.events import Event
from crosstower.serving.state.state import State

from ..fixtures.postgres import PASSWORD
from .command_line import Capture, run


@pytest.fixture
def address(postgres: str, bundle: Bundle) -> str:
    """A state with two events and a version that is live in place of a bundle."""
    with State.open(postgres) as state:
        state.add_events([Event(event_id=name, type="click", user=name) for name in "ab"])
        state.set_bundle(bundle.folder)
        path = bundle.folder.parent / "0001" / "bundle"
        made = state.versions.publish(
            1, path, base=bundle.version, detail={}, instead_of=state.bundle()
        )
        assert made is not None
    return postgres


@pytest.fixture
def plain(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address without its password, which is in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return address.replace(f":{PASSWORD}", "")


def test_the_address_comes_from_the_environment(
    address: str, bundle: Bundle, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_STATE", address)
    output = tmp_path / "events.parquet"
    code, _, err = run(capsys, "events", "-o", output)
    assert (code, err) == (0, "")
    assert pl.read_parquet(output)["user"].to_list() == ["a", "b"]
    code, out, _ = run(capsys, "versions", bundle.folder)
    assert (code, "live: version 1 since" in out) == (0, True)
    code, out, _ = run(capsys, "rollback", bundle.folder, "--to", "0")
    assert (code, out) == (0, f"version 0 is live: {bundle.folder}\n")
    code, out, _ = run(capsys, "events", "--delete-before", "2100-01-01", "--json")
    assert (code, out.split()) == (0, ["{", '"deleted":', "2,", '"left":', "0", "}"])


def test_vectors_are_pushed_into_it(
    plain: str, bundle: Bundle, tmp_path: Path, capsys: Capture
) -> None:
    with State.open(plain) as state:
        state.set_bundle(bundle.folder)
    weights = bundle.manifest.retrieval.weights
    file = tmp_path / "vectors.parquet"
    vectors = np.eye(2, bundle_width(bundle), dtype=np.float32)
    rows = pl.DataFrame({"item_id": [1, 2], "vector": vectors.tolist()})
    rows.write_parquet(file)
    code, out, err = run(capsys, "vectors", "push", file, "--state", plain, "--weights", weights)
    assert (code, err) == (0, "")
    assert out.startswith("2 vectors stored")
    with State.open(plain) as state:
        assert [change.id for change in state.changes_after(0)] == [1, 2]


def bundle_width(bundle: Bundle) -> int:
    from crosstower.serving.bundle.live import Live

    return Live.open(bundle).needs_funnel.retriever.model.dim


@pytest.mark.parametrize(
    "command",
    [
        ("events",),
        ("versions", "bundle", "--state"),
        ("rollback", "bundle", "--state"),
        ("retrain", "bundle", "--state"),
        ("serve", "bundle", "--state"),
        ("vectors", "push", "vectors.parquet", "--state"),
        ("experiment", "report", "experiments.yaml", "--state"),
        ("off-policy", "bundle", "--state"),
    ],
)
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    command: tuple[str, ...], capsys: Capture
) -> None:
    code, out, err = run(capsys, *command, f"postgresql://me:{PASSWORD}@127.0.0.1:1/db")
    assert code == 2
    assert "set PGPASSWORD or PGPASSFILE, or put the whole address into CROSSTOWER_STATE" in (
        " ".join(err.split())
    )
    assert PASSWORD not in out + err


def test_a_database_that_is_away_is_named_without_the_password(
    plain: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSTOWER_STATE", f"postgresql://me:{PASSWORD}@127.0.0.1:1/db")
    code, out, err = run(capsys, "events")
    assert code == 5
    assert "postgresql://me@127.0.0.1:1/db" in err.replace("\n", "")
    assert PASSWORD not in out + err
