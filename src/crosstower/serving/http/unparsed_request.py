"""Fast pre-parse of a request (about a microsecond), for an overloaded worker."""

from __future__ import annotations

_SLOW = (b"transfer-encoding", b"connection:", b"expect:", b"upgrade:")


def whole_post(data: bytes, most: int) -> bytes | None:
    r"""Return the path of bytes that are exactly one plain POST request, else None.

    Unusual requests, such as several lengths, chunks, or a connection that ends, are left to the
    parser.

    >>> whole_post(b"POST /v1/rank HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 1_000)
    b'/v1/rank'
    >>> whole_post(b"POST /v1/rank HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}", 1_000)

    Args:
        data: the first bytes received.
        most: bytes of the headers.

    """
    end = data.find(b"\r\n\r\n", 0, most)
    if end < 0 or not data.startswith(b"POST /"):
        return None
    line, _, head = data[:end].partition(b"\r\n")
    head = b"\n" + head.lower()
    _, found, rest = head.partition(b"\ncontent-length:")
    if not found or b"\ncontent-length" in rest or any(word in head for word in _SLOW):
        return None
    length = rest.split(b"\r\n", 1)[0].strip()
    if not length.isdigit() or len(length) > 9 or int(length) != len(data) - end - 4:
        return None
    _, path, *version = line.split(b" ")
    return path if version == [b"HTTP/1.1"] else None
