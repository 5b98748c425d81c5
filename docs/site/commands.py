"""A page for the command line, from the same texts as `--help`."""

from __future__ import annotations

import re
from typing import Any, get_args

from typer.main import get_command

from crosstower.cli.main import app
from crosstower.cli.retrain import REFUSED
from crosstower.errors import CrosstowerError

HEAD = """# Command line

Every command prints this text with `--help`, and with `--json` a result for programs. An error goes
to stderr, in words that say what to do:


"""


def command_pages() -> dict[str, str]:
    """Return the text of the page by its file name."""
    root: Any = get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        if not command.hidden:
            panels.setdefault(command.rich_help_panel, []).extend(_command(name, command))
    parts = [f"## {panel}\n\n{''.join(texts)}" for panel, texts in panels.items()]
    return {"commands.md": HEAD + _exit_codes() + "".join(parts)}


def _exit_codes() -> str:
    home = CrosstowerError.__module__  # commands raise no errors of other modules
    kinds = [kind for kind in CrosstowerError.__subclasses__() if kind.__module__ == home]
    rows = sorted(f"| {kind.exit_code} | {kind.__doc__} |\n" for kind in kinds)
    refused = f"| {REFUSED} | `crosstower retrain`: the gate rejects the version. |\n"
    return "| exit code | error |\n|---|---|\n" + "".join(rows) + refused + "\n"


def _command(name: str, command: Any) -> list[str]:
    if hasattr(command, "commands"):
        inner = [_command(f"{name} {n}", c) for n, c in command.commands.items() if not c.hidden]
        return [text for texts in inner for text in texts]
    usage = " ".join(_shown(p) for p in command.params if p.param_type_name == "argument")
    rows = [_row(p) for p in command.params if not p.hidden]
    text = f"### crosstower {name}\n\n{_prose(command.help)}\n\n"
    text += f"```text\ncrosstower {name} [OPTIONS] {usage}".rstrip() + "\n```\n\n"
    text += "| option | meaning |\n|---|---|\n" + "".join(rows) + "\n"
    if command.epilog:
        lines = re.split(r"\s+\|\s+", command.epilog.split(": ", 1)[1])
        text += "Examples:\n\n```text\n" + "\n".join(lines) + "\n```\n\n"
    return [text]


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        left = f"`{_shown(parameter)}`"
    else:
        metavar = "" if parameter.is_flag else f" {parameter.metavar or _values(parameter)}"
        left = ", ".join(f"`{option}{metavar}`" for option in parameter.opts)
    default = parameter.default
    plain = isinstance(default, str | int | float) and not isinstance(default, bool)
    words = f"{_prose(parameter.help)} Default: `{default}`." if plain else _prose(parameter.help)
    cells = [cell.replace("|", "\\|") for cell in (left, words)]
    return f"| {' | '.join(cells)} |\n"


def _values(option: Any) -> str:
    return "|".join(get_args(option.type_descriptor.annotation)) or option.name.upper()


def _prose(text: str | None) -> str:
    return re.sub(r"(?<!`)(--[a-z][\w-]*)(?!`)", r"`\1`", (text or "").strip())
