"""The folder that holds local copies of files at addresses."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

VARIABLE = "CROSSTOWER_CACHE"


def cache_folder() -> Path:
    """Return the cache folder: `CROSSTOWER_CACHE`, or `~/.cache/crosstower`.

    It may be removed whenever no process uses it.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "crosstower"


def digest_of(*parts: object) -> str:
    """Return a digest of texts and numbers, of 20 hexadecimal digits.

    >>> digest_of("s3://bucket/run") == digest_of("s3://bucket/run")
    True
    """
    text = "\0".join(map(str, parts))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:20]
