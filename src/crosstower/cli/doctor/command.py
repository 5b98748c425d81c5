"""`crosstower doctor`: check the installation and the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosstower import __version__
from crosstower.cli.options import DATA, Json

if TYPE_CHECKING:
    from crosstower.cli.doctor.finding import CheckResult

doctor_app = typer.Typer()


@doctor_app.command(
    rich_help_panel=DATA,
    epilog="Examples: crosstower doctor   |   crosstower doctor --folder /data/runs --json",
)
def doctor(
    folder: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", exists=True, file_okay=False, help="Folder that runs are written to."
        ),
    ] = Path(),
    port: Annotated[
        int, typer.Option(min=1, max=65_535, metavar="N", help="Port of the server.")
    ] = 8000,
    as_json: Json = False,
) -> None:
    """Check packages, torch, processors, memory, disk and port.

    The exit code is 1 if there is a problem. A missing extra is not a problem; the command that
    installs it is shown.
    """
    from crosstower.cli.doctor.machine import check_machine
    from crosstower.cli.doctor.packages import check_core, check_extras
    from crosstower.cli.doctor.torch_build import check_torch

    parts = {
        "machine": [*check_machine(folder.absolute(), port)],
        "packages": [*check_core()],
        "torch": [*check_torch()],
        "extras": [*check_extras()],
    }
    problems = sum(one.status == "problem" for part in parts.values() for one in part)
    if as_json:
        found = {name: [asdict(one) for one in part] for name, part in parts.items()}
        typer.echo(json.dumps({"version": __version__, "problems": problems, **found}, indent=1))
    else:
        _show(parts, problems)
    if problems:
        raise typer.Exit(1)


def _show(parts: dict[str, list[CheckResult]], problems: int) -> None:
    from crosstower.cli.tables import console, print_table

    machine = [*parts["machine"], *_worth_a_line(parts["packages"]), *parts["torch"]]
    print_table(f"crosstower {__version__}", ["", "", "Found"], _rows(machine))
    extras = [[one.check, one.purpose, one.found] for one in parts["extras"]]
    print_table("Extras", ["", "For", "State"], extras)
    out = console()
    for one in (*machine, *parts["extras"]):
        if one.remedy:
            out.print(f"{one.check}: {one.remedy}", highlight=False, soft_wrap=True)
    if problems:
        words = f"{problems} problem{'s' if problems > 1 else ''}"
        out.print(f"{words}; see the remedies above", highlight=False)
    else:
        out.print("no problems", highlight=False)


def _worth_a_line(packages: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the packages that are wrong, or one line for all of them."""
    from crosstower.cli.doctor.finding import CheckResult

    wrong = [one for one in packages if one.status != "ok"]
    return wrong or [
        CheckResult("packages", "ok", f"all {len(packages)} required packages installed")
    ]


def _rows(findings: Sequence[CheckResult]) -> list[list[str]]:
    return [[one.check, one.status, one.found] for one in findings]
