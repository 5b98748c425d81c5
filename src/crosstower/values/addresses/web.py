"""Files at https:// addresses, downloaded once into the cache.

A web server may not send ranges, and rows are read several times: a local copy serves all passes.
A copy is used again if the server confirms it by its ETag or time of change.
"""

from __future__ import annotations

import json
import shutil
import time
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from filelock import FileLock

from crosstower.values.addresses.address import Address
from crosstower.values.addresses.cache import cache_folder, digest_of
from crosstower.values.addresses.filesystems import ATTEMPTS

_PAUSE, _TIMEOUT, _BLOCK = 0.2, 60.0, 1 << 20
_NOT_MODIFIED, _PARTIAL, _MISSING, _SERVER_FAULT = 304, 206, (404, 410), 500


@cache
def downloaded(address: Address) -> Path:
    """Return the local copy of a file, checked once per process.

    Raises:
        OSError: there is no such file, or the connection broke `ATTEMPTS` times.

    """
    folder = cache_folder() / "files" / digest_of(address)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        return _Download(address, folder).path()


class _Download:
    """One file: its copy, and the facts given by the server."""

    def __init__(self, address: Address, folder: Path) -> None:
        self.address, self.copy = address, folder / address.name
        self.facts_file, self.partial = folder / ".facts.json", folder / ".partial"
        self.facts: dict[str, str] = {}
        self.size: int | None = None

    def path(self) -> Path:
        """Return the copy, made or confirmed."""
        known = self._known()
        self.partial.unlink(missing_ok=True)
        fault: Exception = OSError("not tried")
        for attempt in range(ATTEMPTS):
            try:
                if self._receive(known if not self.partial.exists() else {}):
                    return self.copy
                fault = OSError(f"{self._got():,} of {self.size:,} bytes received")
            except HTTPError as error:
                _refuse(self.address, error)
                fault = error
            except (OSError, HTTPException) as error:
                fault = error
            time.sleep(_PAUSE * 2**attempt)
        raise OSError(
            f"{self.address}: the connection broke {ATTEMPTS} times: {fault}; try again"
        ) from fault

    def _receive(self, known: dict[str, str]) -> bool:
        """Receive the file or its rest; return whether the copy is whole."""
        got = self._got()
        with _asked(self.address, self._conditions(known, got)) as response:
            if response is None:
                return True  # the copy is up to date
            if response.status != _PARTIAL:
                got, self.facts = 0, _facts_of(response)
                length = response.headers.get("Content-Length")
                self.size = None if length is None else int(length)
            with self.partial.open("ab" if got else "wb") as file:
                shutil.copyfileobj(response, file, _BLOCK)
        if self.size is not None and self._got() != self.size:
            return False
        self.partial.replace(self.copy)
        self.facts_file.write_text(json.dumps(self.facts), encoding="utf-8")
        return True

    def _conditions(self, known: dict[str, str], got: int) -> dict[str, str]:
        """Return headers that ask for a newer file, or for the rest of this one."""
        if got and (mark := self.facts.get("ETag") or self.facts.get("Last-Modified")):
            return {"Range": f"bytes={got}-", "If-Range": mark}
        if "ETag" in known:
            return {"If-None-Match": known["ETag"]}
        if "Last-Modified" in known:
            return {"If-Modified-Since": known["Last-Modified"]}
        return {}

    def _known(self) -> dict[str, str]:
        if not self.copy.is_file() or not self.facts_file.is_file():
            return {}
        return json.loads(self.facts_file.read_text(encoding="utf-8"))

    def _got(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0


class _asked:  # noqa: N801 - a context manager
    """A response of the server; None if the copy is up to date."""

    def __init__(self, address: Address, headers: dict[str, str]) -> None:
        url = f"{address.scheme}://{quote(address.path, safe='/:%~')}"
        agent = {"User-Agent": "crosstower", "Accept-Encoding": "identity"}
        self._request = Request(url, headers=agent | headers)  # noqa: S310 - http or https
        self._response: Any = None

    def __enter__(self) -> Any:
        try:
            self._response = urlopen(self._request, timeout=_TIMEOUT)  # noqa: S310
        except HTTPError as error:
            if error.code != _NOT_MODIFIED:
                raise
            error.close()
        return self._response

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()


def _facts_of(response: Any) -> dict[str, str]:
    names = ("ETag", "Last-Modified")
    return {name: response.headers[name] for name in names if response.headers.get(name)}


def _refuse(address: Address, error: HTTPError) -> None:
    """Raise an error that no further attempt would change."""
    error.close()
    if error.code in _MISSING:
        raise FileNotFoundError(f"{address}: no such file ({error.code} {error.reason})") from error
    if error.code < _SERVER_FAULT:
        raise PermissionError(f"{address}: refused ({error.code} {error.reason})") from error
