"""The bar of a batch job."""

import io
import re

from rich.console import Console
from rich.progress import Progress

from crosstower.cli.job_progress import job_progress
from crosstower.data.progress import RateColumn


def test_the_bar_shows_rows_of_all_partitions() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with job_progress("users", console=console) as show:
        show("users", 400, 1_000)
        show("users", 700, 1_000)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "users" in text
    assert "700/1000" in text


def test_a_log_file_has_no_bar() -> None:
    log = io.StringIO()
    with job_progress("users", console=Console(file=log)) as show:
        show("users", 700, 1_000)
    assert not log.getvalue()


def test_rows_of_an_earlier_call_do_not_count_for_the_rate() -> None:
    clock = iter(range(100))
    progress = Progress(get_time=lambda: float(next(clock)))
    task = progress.add_task("users", total=1_000, completed=400)
    assert RateColumn().render(progress.tasks[0]).plain == ""
    progress.update(task, completed=500)
    progress.update(task, completed=600)
    rate = RateColumn().render(progress.tasks[0]).plain
    assert 0 < float(rate.removesuffix("/s")) <= 200
