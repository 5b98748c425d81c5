import math
import socket
from pathlib import Path

import pytest

from crosstower.cli.doctor import machine
from crosstower.cli.doctor.machine import check_machine, memory, processors


def found(folder: Path, port: int = 0) -> dict[str, machine.CheckResult]:
    return {one.check: one for one in check_machine(folder, port)}


def test_a_container_has_the_processors_and_the_memory_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    whole, bytes_of_all = processors(), memory()[0]
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("2500000000\n")
    assert processors() == 0.5
    assert memory() == (3e9, 5e8)
    assert found(tmp_path)["memory"].status == "note"
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (processors(), memory()[0]) == (whole, bytes_of_all)


def test_threads_that_are_held_back_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "processors", lambda: 8.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert found(tmp_path)["processors"].found == "8; OMP_NUM_THREADS=1"
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert found(tmp_path)["processors"].status == "ok"


def test_a_disk_that_is_full_or_cannot_be_written_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path)["disk"].status == "ok"
    gone = found(tmp_path / "gone")["disk"]
    assert gone.status == "problem"
    assert "cannot be written: No such file" in gone.found
    monkeypatch.setattr(machine, "_LEAST_DISK", math.inf)
    full = found(tmp_path)["disk"]
    assert (full.status, full.remedy) == ("problem", "delete files, or use another disk")


def test_a_port_in_use_is_noted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert found(tmp_path, port)["port"].found == f"{port} is in use by another program"
    assert found(tmp_path, port)["port"].status == "ok"
