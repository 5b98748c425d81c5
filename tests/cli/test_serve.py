import shutil
from pathlib import Path

import pytest

from crosstower.evaluation.experiments.experiment_file import load_experiments
from crosstower.serving.bundle import Bundle
from crosstower.serving.http import server
from crosstower.serving.http.settings import Limits, Settings
from crosstower.serving.state.folder_lock import only_server
from crosstower.serving.state.state import State

from .command_line import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What would be served: the server itself is started by other tests."""
    found: list[object] = []
    monkeypatch.setattr(server, "serve", found.append)
    for scope in ("READ", "WRITE", "ADMIN"):
        monkeypatch.delenv(f"CROSSTOWER_{scope}_TOKEN", raising=False)
    return found


def test_the_address_is_told_and_the_state_lies_beside_the_bundle(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    code, text, _ = run(capsys, "serve", bundle.folder, "--port", "8123", "--state", tmp_path / "s")
    assert code == 0
    assert "http://127.0.0.1:8123/" in text
    assert bundle.version in text
    assert len(served) == 1
    assert (tmp_path / "s" / "state.sqlite").is_file()


def test_a_version_that_is_served_in_place_of_the_bundle_is_told(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    fresh = Path(shutil.copytree(bundle.folder, tmp_path / "0001" / "bundle"))
    with State.open(tmp_path / "s") as state:
        state.versions.publish(1, fresh, base=bundle.version, detail={}, instead_of=None)
    code, text, _ = run(capsys, "serve", bundle.folder, "--state", tmp_path / "s")
    assert code == 0
    last = text.splitlines()[-1]
    assert last.startswith(f"it is {fresh}, which was published in place of {bundle.folder}")
    assert last.endswith(f"crosstower rollback {bundle.folder} --state {tmp_path / 's'} --to 0")


def test_the_limits_of_a_worker_are_options(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    limits = ("--max-queue", "9", "--queue-timeout", "2.5", "--max-batch-size", "3")
    code, _, err = run(capsys, "serve", bundle.folder, "--state", tmp_path / "s", *limits)
    assert (code, err) == (0, "")
    (settings,) = served
    assert isinstance(settings, Settings)
    assert settings.limits == Limits(max_queue=9, queue_timeout=2.5, max_batch_size=3)


def test_old_names_of_options_still_work_and_name_the_new_one(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    limits = ("--waiting", "9", "--seconds=2.5", "--together", "3")
    code, _, err = run(capsys, "serve", bundle.folder, "--state", tmp_path / "s", *limits)
    assert code == 0
    assert "note: --waiting is now --max-queue" in err
    assert "note: --seconds is now --queue-timeout" in err
    assert "note: --together is now --max-batch-size" in err
    (settings,) = served
    assert isinstance(settings, Settings)
    assert settings.limits == Limits(max_queue=9, queue_timeout=2.5, max_batch_size=3)


def test_other_machines_need_tokens(
    bundle: Bundle,
    tmp_path: Path,
    capsys: Capture,
    served: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ("serve", bundle.folder, "--host", "0.0.0.0", "--state", tmp_path / "s")
    code, _, err = run(capsys, *asked)
    assert code == 5
    assert "no token" in err
    assert not served
    assert run(capsys, *asked, "--open")[0] == 0
    monkeypatch.setenv("CROSSTOWER_READ_TOKEN", "short")
    code, _, err = run(capsys, *asked)
    assert (code, "at least 16" in err, "short" in err) == (5, True, False)
    monkeypatch.setenv("CROSSTOWER_READ_TOKEN", "long-enough-to-be-a-token")
    assert run(capsys, *asked)[0] == 0


def test_what_is_no_bundle_is_not_served(
    tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    code, _, err = run(capsys, "serve", tmp_path / "nowhere")
    assert code == 5
    assert "crosstower bundle RUN -o DIR" in err
    assert not served


@pytest.mark.slow
def test_a_state_that_is_damaged_or_in_use_ends_the_command(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    asked = ("serve", bundle.folder, "--state", tmp_path / "s")
    with only_server(tmp_path / "s"):
        code, _, err = run(capsys, *asked)
    assert (code, "another server uses this state folder" in err) == (5, True)
    with State.open(tmp_path / "s") as state, state.database.writing() as connection:
        connection.execute("INSERT INTO item_changes (id, item) VALUES ('{', '}')")
    code, _, err = run(capsys, *asked)
    assert (code, "change 1 of an item is damaged" in err) == (5, True)
    assert not served


def test_bounds_are_told_to_the_workers(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    bounds = ("--connections", "5", "--read-timeout", "2", "--state-limit", "3.5")
    names = ("--host-name", "a.example", "--host-name", "b.example")
    assert run(capsys, "serve", bundle.folder, "--state", tmp_path / "s", *bounds, *names)[0] == 0
    (settings,) = served
    assert isinstance(settings, Settings)
    assert settings.limits == Limits(connections=5, read_seconds=2.0, state_bytes=3_500_000)
    assert settings.host_names == ("a.example", "b.example")


def test_experiments_are_read_before_the_server_starts(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    path = tmp_path / "experiments.yaml"
    options = (bundle.folder, "--state", tmp_path / "s", "--experiments", path)
    code, _, err = run(capsys, "serve", *options)
    assert (code, "experiments.yaml: cannot be read" in err, served) == (2, True, [])
    arms = "{a: {share: 0.5}, b: {share: 0.5}}"
    one = f"{{name: e, start: 2026-11-01, arms: {arms}, metrics: {{m: {{event: click}}}}}}"
    path.write_text(f"experiments: [{one}]")
    assert run(capsys, "serve", *options)[0] == 0
    (settings,) = served
    assert isinstance(settings, Settings)
    assert settings.experiments == load_experiments(path)


def test_a_server_logs_its_lists_if_it_is_asked_to(
    bundle: Bundle, tmp_path: Path, capsys: Capture, served: list[object]
) -> None:
    for options in ((), ("--log",)):
        run(capsys, "serve", bundle.folder, "--state", tmp_path / "s", *options)
    assert [isinstance(s, Settings) and s.log for s in served] == [False, True]
