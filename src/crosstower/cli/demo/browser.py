"""Serve a bundle and open its page in the browser of a person who watches."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from crosstower.cli.serve import serve
from crosstower.errors import ServeError

HOST = "127.0.0.1"
_SECONDS, _PAUSE = 60.0, 0.2


def check_can_serve(port: int, otherwise: str = ", or give --no-serve") -> None:
    """Refuse to start a command whose page could not be served.

    Args:
        port: of the page.
        otherwise: end of the message, with another way out.

    Raises:
        ServeError: a package of the server is missing, or the port is in use.

    """
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ServeError(
            f"the server needs the package {missing[0]}; install it with:"
            f" pip install 'crosstower[serve]'{otherwise}"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServeError(
                f"port {port}: {error.strerror}; choose another with --port N{otherwise}"
            ) from error


def has_browser(environment: Mapping[str, str], platform: str, *, watched: bool) -> bool:
    """Return whether a person watches on a machine that can show a page.

    >>> has_browser({"DISPLAY": ":0"}, "linux", watched=True)
    True
    >>> has_browser({"DISPLAY": ":0", "CI": "true"}, "linux", watched=True)
    False

    Args:
        environment: variables; a continuous integration service sets CI.
        platform: as `sys.platform`; elsewhere than on macOS and Windows a page needs a display.
        watched: whether the output goes to a terminal.

    """
    display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return (
        watched and not environment.get("CI") and (platform in ("darwin", "win32") or bool(display))
    )


def serve_page(bundle: Path, port: int) -> None:
    """Serve a bundle until Ctrl-C; its page opens as soon as the server listens."""
    open_when_listening(port)
    serve(bundle, host=HOST, port=port)


def open_when_listening(port: int) -> None:
    """Open the page once a server listens, if a terminal is attached; return immediately."""
    if has_browser(os.environ, sys.platform, watched=sys.stdout.isatty()):
        threading.Thread(target=_open_page, args=(port,), daemon=True).start()


def _open_page(port: int) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection((HOST, port), timeout=1.0):
            with suppress(webbrowser.Error):
                webbrowser.open(f"http://{HOST}:{port}/")
            return
        time.sleep(_PAUSE)
