"""The host names that a server without tokens accepts.

A page of another site can make a browser ask a server on its own machine, by a name that suddenly
means 127.0.0.1 (DNS rebinding). Such a request names the other site in Host or Origin. A literal
address cannot be rebound.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


class Hosts:
    """Names and addresses of a server.

    Args:
        bind: the address that the server listens on; a wildcard stands for all literal addresses.
        names: further host names, such as that of a proxy.

    """

    def __init__(self, bind: str, names: Iterable[str] = ()) -> None:
        self._names = _LOCAL | {bind.lower(), *(name.lower() for name in names)}
        self._any_address = bind in _ANY

    def fault(self, host: str | None, origin: str | None) -> tuple[int, str] | None:
        """Return (status, sentence) for a request with a foreign host name or origin, else None.

        >>> hosts = Hosts("127.0.0.1")
        >>> hosts.fault("localhost:8000", None) is None
        True
        >>> hosts.fault("evil.example", None)[0], hosts.fault("localhost", "http://evil.example")[0]
        (421, 403)
        """
        if host is None or not self._allows(_name(f"//{host}")):
            return 421, (
                "this host name is not served; use the server's address, or start the server with"
                " --host-name NAME or with tokens"
            )
        if origin is not None and not self._allows(_name(origin)):
            return 403, "pages of other sites may not use this server; see --host-name"
        return None

    def _allows(self, name: str | None) -> bool:
        if name is None:
            return False
        return name in self._names or (self._any_address and _is_address(name))


def _name(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return None if parts.path or "@" in parts.netloc else parts.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
