"""Functions over pieces by Daft: order, errors of workers, and what is missing."""

import subprocess
import sys
import time

import pytest

from crosstower.data import daft_runner
from crosstower.data.daft_runner import map_pieces, open_daft
from crosstower.errors import DataError


def slow_first(number: int) -> int:
    time.sleep(0.2 if number == 0 else 0.0)
    return number * number


def odd_fails(number: int) -> int:
    if number % 2:
        raise DataError(f"piece {number} is odd")
    return number


def test_results_come_in_the_order_of_pieces() -> None:
    assert list(map_pieces(slow_first, range(7))) == [n * n for n in range(7)]
    assert list(map_pieces(lambda text: text.upper(), ["a", "b"], "native")) == ["A", "B"]


def test_the_error_of_the_first_piece_is_raised_as_it_is() -> None:
    found = map_pieces(odd_fails, range(6))
    assert next(found) == 0
    with pytest.raises(DataError, match=r"^piece 1 is odd$"):
        next(found)


def test_pieces_that_do_not_come_back_are_an_error() -> None:
    rows = iter([{"piece": 1, "result": b""}])
    with pytest.raises(DataError, match="returned 0 of 2 pieces"):
        list(daft_runner._in_order(rows, 2))


@pytest.mark.parametrize(("package", "extra"), [("daft", "daft"), ("ray", "ray")])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=rf"needs the package {package}; .*crosstower\[{extra}\]"):
        open_daft("ray")


@pytest.mark.slow
def test_a_process_has_one_runner() -> None:
    """In a process of its own, as the runner of this one stays."""
    code = """
from crosstower.data.daft_runner import map_pieces, open_daft
from crosstower.errors import DataError
assert list(map_pieces(abs, [-1])) == [1]
try:
    open_daft("ray")
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "already uses the runner 'native' of Daft" in done.stdout
