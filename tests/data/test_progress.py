"""Progress as the text of a status line."""

import io

from rich.console import Console

from crosstower.data.progress import no_progress, progress_on


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
