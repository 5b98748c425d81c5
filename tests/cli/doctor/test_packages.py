from collections.abc import Callable
from importlib import metadata

import pytest

from crosstower.cli.doctor import packages
from crosstower.cli.doctor.finding import CheckResult
from crosstower.cli.doctor.packages import check_core, check_extras

NEEDED = [
    "numpy>=2.0",
    "absent-one>=1",
    "old-one>=3,<4",
    'fine>=1; extra == "plain"',
    'absent-one; extra == "none"',
    'fine; extra == "half"',
    'old-one>=3; extra == "half"',
    'crosstower[plain,none]; extra == "both"',
    'fine; extra == "distributed"',
    'not-here; extra == "plain" and python_version < "3"',
    'fine; extra == "dev"',
    'absent-two; extra == "newer"',
    'numpy==2.2; extra == "newer"',
]
INSTALLED = {"numpy": "2.3.1", "old-one": "2.9", "fine": "1.2rc1"}


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    installed = dict(INSTALLED)
    monkeypatch.setattr(packages.metadata, "requires", lambda name: NEEDED)
    monkeypatch.setattr(packages.metadata, "version", version)
    names = [text.split('"')[1] for text in NEEDED if "extra" in text]

    class Facts:
        @staticmethod
        def get_all(key: str) -> list[str]:
            return list(dict.fromkeys(names))

    monkeypatch.setattr(packages.metadata, "metadata", lambda name: Facts)
    return installed.update


def test_what_the_core_lacks_is_a_problem(install: Callable[..., None]) -> None:
    install()
    assert list(check_core()) == [
        CheckResult("numpy", "ok", "2.3.1"),
        CheckResult("absent-one", "problem", "not installed", "pip install 'absent-one>=1'"),
        CheckResult(
            "old-one",
            "problem",
            "2.9 is installed, <4,>=3 is needed",
            "pip install 'old-one<4,>=3'",
        ),
    ]


def test_extras_are_installed_incomplete_or_not(install: Callable[..., None]) -> None:
    install({"torchrec": "1.8.0"})
    found = {one.check: one for one in check_extras()}
    assert found["plain"] == CheckResult("plain", "ok", "installed")
    assert found["none"] == CheckResult(
        "none", "ok", "not installed", "pip install 'crosstower[none]'"
    )
    assert found["half"].status == "note"
    assert found["half"].found == "incomplete: old-one (2.9 is installed, >=3 is needed)"
    assert found["both"].found == "incomplete: absent-one (not installed)"
    assert "dev" not in found
    assert found["newer"].found == "not installed"
    assert found["distributed"].found == "incomplete: fbgemm-gpu-cpu (not installed)"
    assert found["distributed"].remedy == (
        "pip install 'crosstower[distributed]' && pip install --no-deps fbgemm-gpu-cpu==1.8.0"
    )
    install({"fbgemm-gpu": "1.8.0", "absent-two": "1"})
    assert {one.check: one for one in check_extras()}["distributed"].found == "installed"
    newer = {one.check: one for one in check_extras()}["newer"]
    assert newer.found == "incomplete: numpy (2.3.1 is installed, ==2.2 is needed)"


def test_every_extra_has_a_purpose() -> None:
    extras = {one.check: one.purpose for one in check_extras()}
    assert extras == packages.PURPOSES
