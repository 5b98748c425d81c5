"""Progress as the text of a status line."""

import io
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from crosstower.data.progress import NotebookLine, no_progress, progress_console, progress_on


def test_a_status_line_shows_stage_rows_and_total() -> None:
    status = Console(file=io.StringIO()).status("reading")
    show = progress_on(status)
    shown = []
    for call in (("encoding rows",), ("encoding rows", 65_536), ("training again", 2, 1_000)):
        show(*call)
        shown.append(str(status.status))
    assert shown == ["encoding rows", "encoding rows: 65,536 rows", "training again: 2 of 1,000"]


def test_no_progress_takes_the_same_calls() -> None:
    no_progress("reading")
    no_progress("reading", 1)
    no_progress("reading", 1, 2)


def test_a_notebook_shows_the_newest_line_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            shown[-1] = data["text/plain"]

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        shown.append(data["text/plain"])
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    console = Console(file=NotebookLine(), force_jupyter=False, force_terminal=False)
    with console.status("reading"):
        console.print("epoch 1")
        console.print("epoch 2")
    assert shown == ["epoch 2"]


def test_progress_goes_to_standard_error_outside_of_notebooks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress_console().print("epoch 1")
    progress_console(quiet=True).print("epoch 2")
    assert capsys.readouterr() == ("", "epoch 1\n")


def test_a_notebook_gets_a_console_that_writes_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert isinstance(progress_console().file, NotebookLine)


def test_a_quiet_console_shows_no_empty_area_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    console = progress_console(quiet=True)
    assert console.quiet
    assert not console.is_jupyter  # for which rich makes a widget, even without a text
