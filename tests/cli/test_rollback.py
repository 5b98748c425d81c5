from pathlib import Path

from crosstower.serving.state.state import State

from .command_line import Capture, run
from .test_versions import served

__all__ = ["served"]


def live(base: Path) -> Path:
    with State.open_existing(base.with_name("rentals.state")) as state:
        chosen = state.bundle()
    assert chosen is not None
    return chosen[1]


def test_the_version_before_is_live_again(served: Path, capsys: Capture) -> None:
    assert live(served) != served
    code, out, _ = run(capsys, "rollback", served)
    assert code == 0
    assert out == f"version 0 is live: {served}\n"
    assert live(served) == served
    code, out, _ = run(capsys, "rollback", served, "--to", "1")
    assert code == 0
    assert out.startswith("version 1 is live: ")
    assert live(served) == served.with_name("rentals.versions") / "0001" / "bundle"


def test_nothing_to_roll_back_to_is_an_error(served: Path, capsys: Capture) -> None:
    run(capsys, "rollback", served)
    code, _, err = run(capsys, "rollback", served)
    assert code == 5
    assert "version 0 is live, and no version is before it" in err
    code, _, err = run(capsys, "rollback", served, "--to", "2")
    assert code == 5
    assert "version 2: unknown, or already removed; available: 0, 1" in err
