"""The machine: processors, memory, disks and the port of the server."""

from __future__ import annotations

import math
import os
import platform
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crosstower.cli.doctor.finding import CheckResult

_GB = 1e9
_LEAST_MEMORY, _LEAST_DISK = 2 * _GB, 1 * _GB
_CGROUP = Path("/sys/fs/cgroup")


def check_machine(folder: Path, port: int) -> Iterator[CheckResult]:
    """Yield a finding per resource that training and serving need.

    Args:
        folder: that runs are written to.
        port: of the server.

    """
    yield _python()
    yield _processors()
    yield _memory()
    yield _disk("disk", folder)
    yield _disk("temporary files", Path(tempfile.gettempdir()))
    yield _port(port)


def processors() -> float:
    """Return the processors that this process may use, also a fraction in a container."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return min(count, _quota())


def memory() -> tuple[float, float]:
    """Return the bytes of memory of the machine or container, and those available."""
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    free = total
    info = Path("/proc/meminfo")
    if info.is_file():
        lines = dict(line.split(":", 1) for line in info.read_text().splitlines())
        free = float(lines["MemAvailable"].split()[0]) * 1024
    limit, used = (_number(_CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        total, free = min(total, limit), min(free, limit - used)
    return total, free


def _python() -> CheckResult:
    words = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return CheckResult("python", "ok", words)


def _processors() -> CheckResult:
    count, threads = processors(), os.environ.get("OMP_NUM_THREADS", "")
    words = f"{count:g}"
    if threads.isdigit() and int(threads) < math.floor(count):
        remedy = "unset OMP_NUM_THREADS, unless other programs need the rest"
        return CheckResult("processors", "note", f"{words}; OMP_NUM_THREADS={threads}", remedy)
    return CheckResult("processors", "ok", words)


def _memory() -> CheckResult:
    total, free = memory()
    words = f"{free / _GB:.1f} GB of {total / _GB:.1f} GB available"
    if free >= _LEAST_MEMORY:
        return CheckResult("memory", "ok", words)
    return CheckResult("memory", "note", words, "end other programs, or train on fewer rows")


def _disk(check: str, folder: Path) -> CheckResult:
    try:
        free = shutil.disk_usage(folder).free
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        words = f"{folder}: cannot be written: {error.strerror or error}"
        return CheckResult(check, "problem", words, "change its owner, or use another folder")
    words = f"{free / _GB:.1f} GB free in {folder}"
    if free >= _LEAST_DISK:
        return CheckResult(check, "ok", words)
    return CheckResult(check, "problem", words, "delete files, or use another disk")


def _port(port: int) -> CheckResult:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except PermissionError:
            words = f"{port} needs the rights of an administrator"
            return CheckResult("port", "note", words, "crosstower serve BUNDLE --port 8000")
        except OSError:
            words = f"{port} is in use by another program"
            return CheckResult("port", "note", words, "crosstower serve BUNDLE --port ANOTHER")
    return CheckResult("port", "ok", f"{port} is free")


def _quota() -> float:
    """Return the processors that a container may use, infinity without a limit."""
    path = _CGROUP / "cpu.max"
    if not path.is_file():
        return math.inf
    quota, _, period = path.read_text().partition(" ")
    return math.inf if quota == "max" else int(quota) / int(period)


def _number(path: Path) -> float | None:
    text = path.read_text().strip() if path.is_file() else ""
    return float(text) if text.isdigit() else None
